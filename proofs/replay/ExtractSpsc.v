(** The replay of [spsc], extracted. Numbers become machine integers of 63 bits:
    positions and words stay far below. *)
From Coq Require Import Extraction ExtrOcamlBasic ExtrOcamlNatInt NArith.
From Turtle.spsc Require Import Model Replay.

Extract Inductive positive => int [ "(fun p -> 1 + 2 * p)" "(fun p -> 2 * p)" "1" ]
  "(fun odd even one p -> if p <= 1 then one () else if p mod 2 = 0 then even (p / 2) else odd (p / 2))".
Extract Inductive N => int [ "0" "" ] "(fun zero positive n -> if n = 0 then zero () else positive n)".
Extract Constant N.add => "(+)".
Extract Constant N.sub => "(fun n m -> max 0 (n - m))".
Extract Constant N.mul => "( * )".
Extract Constant N.min => "min".
Extract Constant N.div => "(fun n m -> if m = 0 then 0 else n / m)".
Extract Constant N.modulo => "(fun n m -> if m = 0 then n else n mod m)".
Extract Constant N.eqb => "(=)".
Extract Constant N.ltb => "(<)".
Extract Constant N.leb => "(<=)".
Extract Constant N.succ => "succ".
Extract Constant N.of_nat => "(fun n -> n)".
Extract Constant N.to_nat => "(fun n -> n)".

Extraction Language OCaml.
Extraction "spsc_model.ml" replay first_state play.
