(** Transition systems, their traces, and forward simulation.

    Proved here: if every step of [A] can be matched by steps of [B] with the
    same label, every trace of [A] is a trace of [B] ([fsim_refines]).

    Idealised: interleaving semantics. Steps happen one after the other and
    each sees all earlier ones; nothing here speaks about memory orderings.
    Traces are finite: nothing is said about calls that never return. *)

From Coq Require Import List NArith.
Import ListNotations.
Set Implicit Arguments.

(** A step has a visible label, or none ([None]: an internal step). *)
Record lts (L : Type) := {
  state : Type;
  initial : state -> Prop;
  trans : state -> option L -> state -> Prop
}.
Arguments initial {L} _ _.
Arguments trans {L} _ _ _ _.

Section Traces.
  Variable L : Type.

  Definition visible (l : option L) : list L :=
    match l with None => [] | Some e => [e] end.

  (** Any number of steps, with the visible labels in order. *)
  Inductive exec (A : lts L) : state A -> list L -> state A -> Prop :=
  | exec_nil s : exec A s [] s
  | exec_step s l s' tr s'' :
      trans A s l s' -> exec A s' tr s'' -> exec A s (visible l ++ tr) s''.

  Definition is_trace (A : lts L) (tr : list L) : Prop :=
    exists s0 s, initial A s0 /\ exec A s0 tr s.

  (** Every history of [A] is one of [B]: what "implements" means here. *)
  Definition refines (A B : lts L) : Prop :=
    forall tr, is_trace A tr -> is_trace B tr.

  Lemma refines_trans (A B C : lts L) : refines A B -> refines B C -> refines A C.
  Proof. unfold refines; auto. Qed.

  Lemma exec_one (A : lts L) s l s' : trans A s l s' -> exec A s (visible l) s'.
  Proof.
    intros T. rewrite <- (app_nil_r (visible l)). eapply exec_step; [exact T|constructor].
  Qed.

  Lemma exec_tau (A : lts L) s s' tr s'' :
    trans A s None s' -> exec A s' tr s'' -> exec A s tr s''.
  Proof. intros T X. change tr with (visible (@None L) ++ tr). eapply exec_step; eauto. Qed.

  Lemma exec_vis (A : lts L) s s' e tr s'' :
    trans A s (Some e) s' -> exec A s' tr s'' -> exec A s (e :: tr) s''.
  Proof. intros T X. change (e :: tr) with (visible (Some e) ++ tr). eapply exec_step; eauto. Qed.

  Lemma exec_app (A : lts L) s tr s' tr' s'' :
    exec A s tr s' -> exec A s' tr' s'' -> exec A s (tr ++ tr') s''.
  Proof.
    induction 1; intros; [assumption|]. rewrite <- app_assoc. eapply exec_step; eauto.
  Qed.

  (** An invariant of the steps holds in every state that is reached. *)
  Lemma exec_invariant (A : lts L) (P : state A -> Prop) :
    (forall s l s', P s -> trans A s l s' -> P s') ->
    forall s tr s', exec A s tr s' -> P s -> P s'.
  Proof. intros H s tr s' X. induction X; eauto. Qed.

  Record fsim (A B : lts L) (R : state A -> state B -> Prop) : Prop := {
    fsim_init : forall s, initial A s -> exists b, initial B b /\ R s b;
    fsim_step : forall s l s' b, R s b -> trans A s l s' ->
      exists b', exec B b (visible l) b' /\ R s' b'
  }.

  Lemma fsim_exec (A B : lts L) R : fsim A B R ->
    forall s tr s', exec A s tr s' -> forall b, R s b -> exists b', exec B b tr b' /\ R s' b'.
  Proof.
    intros [_ H] s tr s' X. induction X as [s|s l s' tr s'' T X IH]; intros b HR.
    - exists b. split; [constructor|exact HR].
    - destruct (H _ _ _ _ HR T) as (b1 & X1 & HR1). destruct (IH _ HR1) as (b2 & X2 & HR2).
      exists b2. split; [exact (exec_app X1 X2)|exact HR2].
  Qed.

  Theorem fsim_refines (A B : lts L) R : fsim A B R -> refines A B.
  Proof.
    intros F tr (s0 & s & I & X). destruct (fsim_init F _ I) as (b0 & I' & HR).
    destruct (fsim_exec F X _ HR) as (b & X' & _). exists b0, b. auto.
  Qed.
End Traces.

(** A function changed at one place; threads, slots and positions are [N]. *)
Definition upd {A} (f : N -> A) (k : N) (x : A) : N -> A :=
  fun y => if N.eqb y k then x else f y.

Lemma upd_same {A} (f : N -> A) k x : upd f k x k = x.
Proof. unfold upd. now rewrite N.eqb_refl. Qed.

Lemma upd_other {A} (f : N -> A) k x y : y <> k -> upd f k x y = f y.
Proof. unfold upd. intros H. apply N.eqb_neq in H. now rewrite H. Qed.
