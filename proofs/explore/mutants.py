#!/usr/bin/env python3
"""Changes of the model of wait_free that its checks must notice, or a reason why they cannot.

    mutants.py EXPLORE_FOLDER TRACE [PART OF A NAME...]

EXPLORE_FOLDER is a copy of proofs/explore with its neighbours; each mutant is built beside it. A mutant is
caught if the exploration of the small worlds, or the replay of the recorded runs in TRACE, refuses it; which of
the two has to is said below. Ends with status 1 if it is otherwise.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Name, text of Model.v, what it is changed to, and why exploration cannot notice ("" if it must).
MUTANTS = [
    (
        "RESOLVE_SLOT skipped",
        """           | PENDING => (m, go a (RES_SLOT k j c x))""",
        """           | PENDING => (m, go a (RES_CONFIRM k j c x))""",
        "needs five calls of one participant: tests/model_shuttle/stopped.rs",
    ),
    (
        "Full at the first look",
        """      if word_eqb now w then (m, full a k) else room_moved m a k)""",
        """      (m, full a k))""",
        "the second look is there for orderings; under interleaving the first is exact",
    ),
    (
        "Empty at the first look",
        """if word_eqb now w then (m, refuse (set_armed a true) Empty) else take m a n (S lost))""",
        """(m, refuse (set_armed a true) Empty))""",
        "the second look is there for orderings; under interleaving the first is exact",
    ),
    (
        "CONFIRM no exchange",
        """    let done := estate_eqb (state e) x in
    Some (Cas CONFIRM""",
        """    let done := true in
    Some (Cas CONFIRM""",
        "",
    ),
    (
        "COMPLETE no exchange",
        """    let done := word_eqb now c in
    Some (Cas COMPLETE""",
        """    let done := true in
    Some (Cas COMPLETE""",
        "",
    ),
    (
        "DECIDE no exchange (push_more)",
        """    let done := word_eqb now w in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then step_on (set_slot m i new) (open_way""",
        """    let done := true in
    Some (Cas DECIDE (Slot i) (VWord now) (VWord new) done,
      if done then step_on (set_slot m i new) (open_way""",
        "",
    ),
    (
        "CLAIM no exchange",
        """    let done := word_eqb now w in
    Some (Cas CLAIM""",
        """    let done := true in
    Some (Cas CLAIM""",
        "",
    ),
    (
        "TAKE_PART no exchange",
        """    let done := word_eqb now w in
    Some (Cas TAKE_PART""",
        """    let done := true in
    Some (Cas TAKE_PART""",
        "",
    ),
    (
        "SEAL_MARK no exchange",
        """    let done := word_eqb now w in
    Some (Cas SEAL_MARK""",
        """    let done := true in
    Some (Cas SEAL_MARK""",
        "",
    ),
    (
        "WITHDRAW no exchange",
        """    let done := estate_eqb x (E q 0 PENDING 0) in
    Some (Cas WITHDRAW""",
        """    let done := true in
    Some (Cas WITHDRAW""",
        "",
    ),
    (
        "dead claims carried out",
        """             if negb (estate_eqb x done) then was_dead m a k
             else if part then
""",
        """             if part then
""",
        "",
    ),
    (
        "dead after CONFIRM_SEEN carried out",
        """      if negb (estate_eqb x done) then was_dead m a k
      else if part then (m, go a (RES_COMPLETE k j c (more_popped (plain c) 1) true))
      else (m, go a (RES_CELL k j c)))
  | RES_CELL""",
        """      if part then (m, go a (RES_COMPLETE k j c (more_popped (plain c) 1) true))
      else (m, go a (RES_CELL k j c)))
  | RES_CELL""",
        "",
    ),
    (
        "one record for both sides",
        """nth p (match s with PUSH => entries_push m | POP => entries_pop m end)
                  (entry0, entry0)""",
        """nth p (entries_push m)
                  (entry0, entry0)""",
        "",
    ),
    (
        "a hint one too far",
        """      if h <? p then (m, go a (MOVE_HINT k hs h p))""",
        """      if h <? p then (m, go a (MOVE_HINT k hs h (S p)))""",
        "",
    ),
    (
        "room for one more",
        """      if position a <? h + capacity g then
""",
        """      if position a <=? h + capacity g then
""",
        "",
    ),
    (
        "full one too late",
        """  if at_front && (front + capacity g <=? position a) then""",
        """  if at_front && (front + capacity g <? position a) then""",
        "",
    ),
    (
        "claim of a push keeps the run",
        """  else W ph (sealed w) (q mod 4) (S p) 0 0 (cell w).""",
        """  else W ph (sealed w) (q mod 4) (S p) (popped w) (len w) (cell w).""",
        "nobody reads the run of such a claim",
    ),
    (
        "the seal put where the hint is",
        """      if phase w <=? base PUSH p then (m, go a (SEAL_SEE k p))""",
        """      if true then (m, go a (SEAL_SEE k p))""",
        "",
    ),
    (
        "seal not seen by pushes",
        """    if sealed w then (m, go a NOTE_CLOSED) else (m, go a (MORE_CLOSING n lost w))""",
        """    (m, go a (MORE_CLOSING n lost w))""",
        "a push that would miss the mark sees before it that somebody closes the ring",
    ),
    (
        "who was helped keeps the spare it gave",
        """        (m, go (set_took (set_spare a (got x)) t) (ANN_RETIRE None))""",
        """        (m, go (set_took a t) (ANN_RETIRE None))""",
        "",
    ),
    (
        "the last of a run taken though somebody announced",
        """    if left_of w =? 1 then (m, go a (CLAIM_IT (CLAIMED_TAKE n lost) w p s))
    else""",
        """    if left_of w =? 9 then (m, go a (CLAIM_IT (CLAIMED_TAKE n lost) w p s))
    else""",
        "",
    ),
    (
        "sequence told apart by one bit",
        """(q mod 4) (S p)""",
        """(q mod 2) (S p)""",
        "",
    ),
]

BUILD = """
set -e
coqc -R . Turtle wait_free/Model.v
coqc -R . Turtle wait_free/Invariant.v
cd explore
coqc -R .. Turtle ../wait_free/Extract.v
rm -f exchange.mli
awk -f names.awk exchange.ml >names.ml
for program in explore replay; do
    ocamlfind ocamlopt -package unix -linkpkg -w -a -inline 100 exchange.ml names.ml $program.ml -o $program
done
"""


def build(proofs: Path, at: Path, model: str) -> None:
    for folder in ("wait_free", "explore"):
        (at / folder).mkdir()
    (at / "wait_free" / "Model.v").write_text(model)
    for name in ("wait_free/Invariant.v", "wait_free/Extract.v", "explore/names.awk", "explore/explore.ml", "explore/replay.ml"):
        shutil.copy(proofs / name, at / name)
    subprocess.run(["bash", "-c", BUILD], cwd=at, check=True, capture_output=True, text=True)


def fault(command: list[str]) -> str:
    """What a check says of a mutant, or nothing."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if run.returncode == 0:
        return ""
    said = [line for line in run.stdout.splitlines() if "FAULT" in line or ".trace:" in line]
    return (said or run.stderr.strip().splitlines() or ["it ended"])[0]


def main() -> int:
    proofs, trace, parts = Path(sys.argv[1]).parent, sys.argv[2], sys.argv[3:]
    model = (proofs / "wait_free" / "Model.v").read_text()
    wrong = 0
    chosen = [mutant for mutant in MUTANTS if not parts or any(part in mutant[0] for part in parts)]
    for name, text, changed, why in chosen:
        if model.count(text) == 0:
            print(f"FAIL: {name}: the model has no such text any more")
            wrong += 1
            continue
        with tempfile.TemporaryDirectory(dir=proofs) as folder:
            at = Path(folder)
            try:
                build(proofs, at, model.replace(text, changed))
            except subprocess.CalledProcessError as error:
                print(f"FAIL: {name}: it does not compile: {error.stderr[-300:]}")
                wrong += 1
                continue
            explored = fault([str(at / "explore" / "explore")])
            replayed = fault([str(at / "explore" / "replay"), trace])
        good = bool(replayed) and bool(explored) == (not why)
        wrong += not good
        print(f"{'PASS' if good else 'FAIL'}: {name}: exploration: {explored or 'nothing'}{f' ({why})' if why else ''}; "
              f"replay: {'refused' if replayed else 'accepted'}", flush=True)
    print(f"{len(chosen) - wrong} of {len(chosen)} as expected")
    return 1 if wrong or not chosen else 0


sys.exit(main())
