/**
 * What `kv.info` shows is fixed: clients read it.
 */
import { expect } from "chai";
import { StatusCollector } from "../../../actors/coordinator/status.js";
import type { Bus } from "../../../infra/bus.js";
import * as limits from "../../../protocol/limits.js";
import { Names } from "../../../protocol/nats/subjects.js";
import { smallRing } from "../../support/small-ring.js";

/** A name that is taken away breaks clients, and one more is for good: both want a decision. */
const names = `
  atomic_bytes_max attempt_ms_per_operation attempt_timeout_ms barrier_quiet_ms
  batch_operations_max coordinator_bytes_max coordinator_requests_max count_ms_max
  decode_depth_max depth_max entry_bytes_max entry_bytes_target
  entry_operations_max events_bytes_max expire_per_entry_max filter_conditions_max
  hops_max index_entries_max index_text_bytes_max key_bytes_max
  key_tokens_mapped_max lag_serving_again lag_serving_max log_bytes_max
  mailbox_bytes_max mailbox_ms_max mailbox_requests_max name_chars_max
  outcomes_max page_ms_max page_rows_default page_rows_max
  path_bytes_max payload_bytes_max position_count position_count_max
  pull_bytes_max pulse_ms queries_max query_records_max
  queue_ms_max relay_behind_max repairs_max reply_bytes_max
  reply_subject_bytes_max request_ahead_max_ms request_id_bytes_max request_timeout_ms
  request_window_ms revision_max scan_rows_max seed_idle_ms
  seed_part_bytes seed_sessions_max session_wait_ms ttl_max_ms
  ttl_min_ms value_bytes_max views_max view_ms_max
  weight_max
`;

interface Info {
  readonly operators: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

describe("kv.info", () => {
  // It asks no node, so nothing here is called.
  const bus = {} as Bus;
  const status = new StatusCollector(
    { names: new Names("kv"), bus },
    () => smallRing([0]),
    "1.2.3",
  );
  const info = JSON.parse(status.info()) as Info;

  it("shows limits by these names, in this order", () => {
    expect(Object.keys(info.limits)).to.deep.equal(names.trim().split(/\s+/));
  });

  it("shows each limit as it is", () => {
    const constants = new Map(Object.entries(limits));
    for (const [name, value] of Object.entries(info.limits)) {
      expect(value, name).to.equal(constants.get(name.toUpperCase()));
    }
  });

  it("shows the operators that filters take", () => {
    const operators = ["$eq", "$in", "$exists", "$gt", "$gte", "$lt", "$lte", "$prefix", "$and"];
    expect(info.operators).to.deep.equal(operators);
  });

  it("says what it is, of which version and store", () => {
    const { limits: _limits, operators: _operators, ...rest } = info;
    expect(rest).to.deep.equal({
      type: "io.ringdex.v1.info_response",
      version: "1.2.3",
      behaviour_version: 1,
      store: "kv",
      position_count: 1,
    });
  });
});
