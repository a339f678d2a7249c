/** What a replica is doing; told in actors/shard/replica.ts. */
export type ReplicaPhase = "loading" | "catching-up" | "serving" | "stopped";
