(** What is extracted: the model, its invariants. Numbers become machine
    integers (63 bits; everything here is small). *)
From Coq Require Import Extraction ExtrOcamlBasic ExtrOcamlNatInt.
From Turtle.wait_free Require Import Model Invariant.
Extraction Language OCaml.
(* Division by 0 is 0 in Coq. *)
Extract Inlined Constant Nat.div => "(fun n m -> if m = 0 then 0 else n / m)".
Extract Inlined Constant Nat.modulo => "(fun n m -> if m = 0 then n else n mod m)".
Extract Constant Nat.pow => "(fun n m -> let rec go m = if m = 0 then 1 else n * go (m - 1) in go m)".
Extraction "exchange.ml" tstep begin actor0 shared0 follow answers broken ghost0 word_eqb.
