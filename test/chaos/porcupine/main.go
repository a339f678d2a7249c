// A second opinion on the histories of a chaos run: are they linearizable, key by key? The search
// is Porcupine's; what a key may do is written here once more, apart from our own checker's
// (test/history/key-state.ts), so that a mistake in one of them shows.
//
//	porcupine-check [-timeout 60s] history.jsonl ...
//
// Reads rows as test/history/history.ts has them. Prints one line of JSON for each file:
//
//	{"file":"…","result":"Ok"|"Illegal"|"Unknown","operations":123,"ms":45,
//	 "keys":[{"key":"…","operations":12,"unanswered":0,"result":"Ok","ms":5}]}
//
// The time limit is each key's; a key that it cuts off is Unknown.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type outcome struct {
	Kind     string `json:"kind"`
	Value    string `json:"value"`
	Revision int64  `json:"revision"`
	Created  *bool  `json:"created"`
	Existed  *bool  `json:"existed"`
	Number   *int64 `json:"number"`
}

type step struct {
	Verb       string  `json:"verb"`
	Key        string  `json:"key"`
	Value      string  `json:"value"`
	By         int64   `json:"by"`
	IfRevision *int64  `json:"ifRevision"`
	Level      string  `json:"level"`
	Outcome    outcome `json:"outcome"`
}

type row struct {
	Client     string   `json:"client"`
	Steps      []step   `json:"steps"`
	InvokedAt  float64  `json:"invokedAt"`
	ReturnedAt *float64 `json:"returnedAt"`
}

// state is that of a key which is alone in its position (keys.ts sees to that): the position's
// revision rises by one with each change of the key and never otherwise, so it is known even where
// a write was never answered. A key that is there is at the revision of its last change.
type state struct {
	present  bool
	value    string
	revision int64
	// left is the number of answered requests that have no place yet. A request that was never
	// answered and had no effect comes after all of them, and not at each place where it would have
	// had none: that would make the search endless.
	left int
}

// at is the key's revision, 0 = absent.
func (s state) at() int64 {
	if !s.present {
		return 0
	}
	return s.revision
}

func (s state) next(present bool, value string) state {
	return state{present, value, s.revision + 1, s.left}
}

// told is what the answers say of a key's revisions, whatever their order. A request that was never
// answered can only have taken a revision that no acknowledged one took, with the value that was
// seen there if one was, and none above all that were told: after the load each key is written and read once more (run.ts). Without this all
// subsets of the unanswered requests would be tried.
type told struct {
	answered int
	taken    map[int64]bool
	seen     map[int64]string
	highest  int64
}

func toldBy(history []porcupine.Operation) told {
	t := told{taken: map[int64]bool{}, seen: map[int64]string{}}
	for _, operation := range history {
		out := operation.Output.(outcome)
		if out.Kind != "unknown" {
			t.answered++
		}
		if out.Kind == "written" {
			t.taken[out.Revision] = true
		}
		if out.Kind == "value" {
			t.seen[out.Revision] = out.Value
		}
		if out.Revision > t.highest {
			t.highest = out.Revision
		}
	}
	return t
}

func (t told) apply(before, input, output interface{}) (bool, interface{}) {
	s, in, out := before.(state), input.(step), output.(outcome)
	if out.Kind == "unknown" {
		return t.guess(s, in)
	}
	ok, after := tell(s, in, out)
	after.left--
	return ok, after
}

// tell does a step that was answered.
func tell(s state, in step, out outcome) (bool, state) {
	switch out.Kind {
	case "absent":
		return !s.present, s
	case "value":
		return s.present && s.value == out.Value && s.revision == out.Revision, s
	case "conflict":
		isUnmet := in.IfRevision != nil && *in.IfRevision != out.Revision
		return isUnmet && s.at() == out.Revision, s
	case "written":
		if in.IfRevision != nil && *in.IfRevision != s.at() {
			return false, s
		}
		if out.Created != nil && *out.Created == s.present {
			return false, s
		}
		if out.Existed != nil && *out.Existed != s.present {
			return false, s
		}
		after, number := change(s, in)
		if after == s { // a del of nothing takes no revision
			return in.Verb == "del" && out.Revision == 0, s
		}
		if out.Number != nil && *out.Number != number {
			return false, s
		}
		return after.revision == out.Revision, after
	}
	return false, s
}

// guess does a step that was never answered: where it has an effect, or at the end.
func (t told) guess(s state, in step) (bool, state) {
	if s.left == 0 {
		return true, s
	}
	if in.IfRevision != nil && *in.IfRevision != s.at() {
		return false, s
	}
	after, _ := change(s, in)
	value, isSeen := t.seen[after.revision]
	if after == s || t.taken[after.revision] || after.revision > t.highest {
		return false, s
	}
	return !isSeen || (after.present && after.value == value), after
}

// change is the state afterwards, and the number that an increment gives; the same state where
// nothing is changed.
func change(s state, in step) (state, int64) {
	switch in.Verb {
	case "set":
		return s.next(true, in.Value), 0
	case "del":
		if !s.present {
			return s, 0
		}
		return s.next(false, ""), 0
	case "incr":
		current := int64(0)
		if s.present {
			parsed, err := strconv.ParseInt(s.value, 10, 64)
			if err != nil {
				return s, 0
			}
			current = parsed
		}
		number := current + in.By
		return s.next(true, strconv.FormatInt(number, 10)), number
	}
	return s, 0
}

func modelOf(history []porcupine.Operation) porcupine.Model {
	t := toldBy(history)
	return porcupine.Model{
		Init: func() interface{} { return state{left: t.answered} },
		Step: t.apply,
	}
}

// looked says whether a step is an operation of the linearizable history.
func looked(s step) bool {
	if s.Outcome.Kind == "refused" {
		return false
	}
	if s.Verb != "get" {
		return true
	}
	return (s.Level == "" || s.Level == "linearizable") && s.Outcome.Kind != "unknown"
}

func read(file string) (map[string][]porcupine.Operation, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	keys := map[string][]porcupine.Operation{}
	lines := bufio.NewScanner(opened)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	for number := 1; lines.Scan(); number++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		for _, s := range r.Steps {
			if !looked(s) {
				continue
			}
			returned := int64(math.MaxInt64)
			if r.ReturnedAt != nil && s.Outcome.Kind != "unknown" {
				returned = nanoseconds(*r.ReturnedAt)
			}
			keys[s.Key] = append(keys[s.Key], porcupine.Operation{
				Input:  s,
				Call:   nanoseconds(r.InvokedAt),
				Output: s.Outcome,
				Return: returned,
			})
		}
	}
	return keys, lines.Err()
}

func nanoseconds(ms float64) int64 {
	return int64(math.Round(ms * 1e6))
}

type keyReport struct {
	Key        string                `json:"key"`
	Operations int                   `json:"operations"`
	Unanswered int                   `json:"unanswered"`
	Result     porcupine.CheckResult `json:"result"`
	Ms         int64                 `json:"ms"`
}

type report struct {
	File       string                `json:"file"`
	Result     porcupine.CheckResult `json:"result"`
	Operations int                   `json:"operations"`
	Ms         int64                 `json:"ms"`
	Keys       []keyReport           `json:"keys"`
}

func check(file string, timeout time.Duration) (report, error) {
	all := report{File: file, Result: porcupine.Ok, Keys: []keyReport{}}
	histories, err := read(file)
	if err != nil {
		return all, err
	}
	names := make([]string, 0, len(histories))
	for name := range histories {
		names = append(names, name)
	}
	sort.Strings(names)
	begin := time.Now()
	for _, name := range names {
		history := histories[name]
		one := keyReport{Key: name, Operations: len(history)}
		for _, operation := range history {
			if operation.Return == math.MaxInt64 {
				one.Unanswered++
			}
		}
		started := time.Now()
		one.Result = porcupine.CheckOperationsTimeout(modelOf(history), history, timeout)
		one.Ms = time.Since(started).Milliseconds()
		all.Operations += one.Operations
		if one.Result == porcupine.Illegal {
			all.Result = porcupine.Illegal
		} else if one.Result == porcupine.Unknown && all.Result == porcupine.Ok {
			all.Result = porcupine.Unknown
		}
		all.Keys = append(all.Keys, one)
	}
	all.Ms = time.Since(begin).Milliseconds()
	return all, nil
}

func main() {
	timeout := flag.Duration("timeout", time.Minute, "for each key")
	flag.Parse()
	for _, file := range flag.Args() {
		checked, err := check(file, *timeout)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		line, err := json.Marshal(checked)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Println(string(line))
	}
}
