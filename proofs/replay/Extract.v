(** What the replay program takes from the proofs. Numbers stay as Coq has them:
    no type is replaced by a machine type, but booleans, options, pairs, lists. *)
From Coq Require Import Extraction ExtrOcamlBasic.
From Turtle.common Require Import Replay.
Extraction Language OCaml.
Set Warnings "-extraction-opaque-accessed".
Extraction "model.ml" replay play first_state pc_of.
