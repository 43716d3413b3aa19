(** What the ring of one producer and one consumer promises, closing and long runs included.

    [late_queue c d heavy] is the bounded FIFO of [AtomicQueue.v] but for two things, each documented:

    - A run takes effect in pieces of [d] elements or more, the last one may be smaller. A run that is not
      longer than [d] takes effect at once.
    - Closing takes effect late, when no push is halfway: the gate goes from open over shutting to shut, some
      time after somebody asked for it, and not while a push is accepted. From the first of these steps on
      pushes are refused; from the second on a pop that finds nothing is told [Closed], or [Empty] while
      a push is being made. Who asks is answered [Sealed] if the gate is shut, and [Busy] while a push is
      being made (or if it has no barrier).

    [Full] and [Empty] are exact: [Full] at an instant at which all places are taken and the gate is open,
    [Empty] at one at which nothing is inside. [Busy] is no answer to a push or a pop.

    Proved: [late_is_atomic]: histories of this queue without [Seal], and without runs longer than [d], are
    histories of [atomic_queue c]. *)
From Coq Require Import List Arith NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
Local Open Scope N_scope.

Inductive gate := Open | Shutting | Shut.

(** [Midway k vs]: [k] elements of the run are in, [vs] are to come. *)
Inductive lstat := Out | Made (o : op) | Midway (k : nat) (vs : list val) | Ended (r : res).

Record lstate := { inside : list val; gate_of : gate; asked : bool; at_ : tid -> lstat }.

(** A push that asks for [vs] now, [k] elements being in. *)
Definition asking (x : lstat) (k : nat) (vs : list val) : Prop :=
  (k = O /\ x = Made (Push (map Some vs))) \/ ((0 < k)%nat /\ x = Midway k vs).

(** Somebody's push is being made. *)
Definition pushing (s : lstate) : Prop := exists q k vs, asking (at_ s q) k vs.

Definition is_seal (o : op) : bool := match o with Seal => true | _ => false end.

Definition moved (s : lstate) (p : tid) (q : list val) (x : lstat) : lstate :=
  {| inside := q; gate_of := gate_of s; asked := asked s; at_ := upd (at_ s) p x |}.

Inductive ltrans (c d : N) (heavy : bool) : lstate -> option ev -> lstate -> Prop :=
| l_call s p o : at_ s p = Out -> asks o = true ->
    ltrans c d heavy s (Some (Call p o))
      {| inside := inside s; gate_of := gate_of s; asked := orb (asked s) (is_seal o);
         at_ := upd (at_ s) p (Made o) |}
| l_piece s p k now later : asking (at_ s p) k (now ++ later) -> gate_of s = Open ->
    d <= len now -> len (inside s) + len now <= c ->
    ltrans c d heavy s None (moved s p (inside s ++ now) (Midway (k + length now) later))
| l_last s p k now later : asking (at_ s p) k (now ++ later) -> gate_of s = Open ->
    (1 <= k + length now)%nat -> len (inside s) + len now <= c ->
    ltrans c d heavy s None (moved s p (inside s ++ now) (Ended (Pushed (k + length now))))
| l_full s p cs : at_ s p = Made (Push cs) -> gate_of s = Open -> len (inside s) = c ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Full))
| l_refused s p cs : at_ s p = Made (Push cs) -> gate_of s <> Open ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Closed))
| l_popped s p n vs rest : at_ s p = Made (Pop n) -> inside s = vs ++ rest ->
    (1 <= length vs <= n)%nat ->
    ltrans c d heavy s None (moved s p rest (Ended (Popped vs)))
| l_empty s p n : at_ s p = Made (Pop n) -> inside s = [] -> gate_of s <> Shut \/ pushing s ->
    ltrans c d heavy s None (moved s p [] (Ended Empty))
| l_pop_closed s p n : at_ s p = Made (Pop n) -> inside s = [] -> gate_of s = Shut ->
    ltrans c d heavy s None (moved s p [] (Ended Closed))
| l_shutting s : asked s = true -> gate_of s = Open ->
    ltrans c d heavy s None {| inside := inside s; gate_of := Shutting; asked := true; at_ := at_ s |}
| l_shut s : gate_of s = Shutting ->
    ltrans c d heavy s None {| inside := inside s; gate_of := Shut; asked := asked s; at_ := at_ s |}
| l_sealed s p : at_ s p = Made Seal -> gate_of s = Shut ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Sealed))
| l_not_sealed s p : at_ s p = Made Seal -> pushing s \/ heavy = false ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Busy))
| l_looked s p : at_ s p = Made Look ->
    ltrans c d heavy s None (moved s p (inside s) (Ended Looked))
| l_ret s p r : at_ s p = Ended r ->
    ltrans c d heavy s (Some (Ret p r)) (moved s p (inside s) Out).

Definition linit (s : lstate) : Prop :=
  inside s = [] /\ gate_of s = Open /\ asked s = false /\ forall p, at_ s p = Out.

Definition late_queue (c d : N) (heavy : bool) : lts ev :=
  {| state := lstate; initial := linit; trans := ltrans c d heavy |}.

(** * Without closing and long runs *)

(** Nobody closes, and no run is longer than [d]. *)
Definition plain_call (d : N) (e : ev) : Prop :=
  match e with
  | Call _ Seal => False
  | Call _ (Push cs) => len cs <= d
  | _ => True
  end.
Definition plain_calls (d : N) (tr : list ev) : Prop := forall e, In e tr -> plain_call d e.

Lemma elements_some vs : elements (map Some vs) = length vs.
Proof. induction vs; cbn; congruence. Qed.
Lemma len_some (vs : list val) : len (map Some vs) = len vs.
Proof. unfold len. now rewrite map_length. Qed.
Lemma len_app {A} (a b : list A) : len (a ++ b) = len a + len b.
Proof. unfold len. rewrite app_length. lia. Qed.

Section Plain.
  Variables c d : N.
  Variable heavy : bool.
  Hypothesis Hd : 1 <= d.

  Definition stands (x : lstat) (y : stat) : Prop :=
    match x with
    | Out => y = Outside
    | Made o => y = Called o /\ plain_call d (Call 0 o)
    | Midway k vs => vs = [] /\ y = Done (Pushed k)
    | Ended r => y = Done r
    end.

  Record same_queue (s : lstate) (a : astate) : Prop := {
    same_items : items a = map Some (inside s);
    same_open : gate_of s = Open /\ asked s = false /\ closed a = false;
    same_status : forall p, stands (at_ s p) (status a p)
  }.

  Lemma firstn_some (now later : list val) : firstn (length now) (map Some (now ++ later)) = map Some now.
  Proof. rewrite firstn_map, firstn_app, Nat.sub_diag, firstn_all. cbn. now rewrite app_nil_r. Qed.

  (** Another effect, or none. *)
  Lemma effect_done s a p o r q x : same_queue s a -> at_ s p = Made o -> q = map Some (inside x) ->
    effect c a p o r q false -> gate_of x = Open -> asked x = false ->
    (forall t, t <> p -> at_ x t = at_ s t) -> stands (at_ x p) (Done r) ->
    exists b, exec (atomic_queue c) a [] b /\ same_queue x b.
  Proof.
    intros [I (G & K & C) S] E -> F G' K' O P. pose proof (S p) as Sp. rewrite E in Sp.
      destruct Sp as (Sp & _).
    eexists. split; [eapply exec_tau; [eapply a_effect; eauto|constructor]|].
    constructor; cbn; auto. intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; auto.
    rewrite O by assumption. apply S.
  Qed.

  Lemma quietly s a p o q r x : same_queue s a -> at_ s p = Made o -> x = moved s p q (Ended r) ->
    gate_of s = Open -> asked s = false -> effect c a p o r (map Some q) false ->
    exists b, exec (atomic_queue c) a [] b /\ same_queue x b.
  Proof.
    intros Q E -> G K F. eapply effect_done; [exact Q|exact E|reflexivity|exact F|exact G|exact K| |].
    - intros t N. cbn. now apply upd_other.
    - cbn. now rewrite upd_same.
  Qed.

  Lemma late_step s l s' a : same_queue s a -> ltrans c d heavy s l s' ->
    (forall e, l = Some e -> plain_call d e) ->
    exists b, exec (atomic_queue c) a (visible l) b /\ same_queue s' b.
  Proof.
    intros Q T P. pose proof Q as [I (G & K & C) S]. destruct T; cbn [visible];
      try congruence; try (exfalso; congruence).
    - (* a call *)
      pose proof (S p) as Sp. rewrite H in Sp. cbn in Sp.
      specialize (P _ eq_refl). assert (is_seal o = false) as E by now destruct o.
      eexists. split; [eapply exec_vis; [apply a_call; eauto|constructor]|].
      constructor; cbn; auto.
      + now rewrite K, E.
      + intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; [split; [reflexivity|]|apply S].
        destruct o; auto.
    - (* a piece: the whole run *)
      destruct H as [(-> & H)|(Hk & H)].
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (Sp & L). cbn in L.
        rewrite len_some, len_app in L.
        assert (later = []) as -> by (destruct later; [reflexivity|unfold len in *; cbn in *; lia]).
        eapply effect_done with (q := map Some (inside s ++ now)) (r := Pushed (length now));
          [eassumption|exact H|reflexivity| |assumption|assumption| |].
        * rewrite (map_app Some (inside s) now), <- I, <- (elements_some now), <- (firstn_some now []).
          constructor; auto.
          -- rewrite map_length, app_nil_r. unfold len in *. lia.
          -- rewrite I, len_some. exact H2.
        * intros t N. cbn. now apply upd_other.
        * cbn. rewrite upd_same. cbn. auto.
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (E & Sp).
        apply app_eq_nil in E. destruct E as (-> & ->). unfold len in *. cbn in *. lia.
    - (* the last piece *)
      destruct H as [(-> & H)|(Hk & H)].
      + eapply effect_done with (q := map Some (inside s ++ now)) (r := Pushed (length now));
          [eassumption|exact H|reflexivity| |assumption|assumption| |].
        * rewrite (map_app Some (inside s) now), <- I, <- (elements_some now), <- (firstn_some now later).
          constructor; auto.
          -- rewrite map_length, app_length. lia.
          -- rewrite I, len_some. exact H2.
        * intros t N. cbn. now apply upd_other.
        * cbn. rewrite upd_same. reflexivity.
      + pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (E & Sp).
        apply app_eq_nil in E. destruct E as (-> & ->). exists a. split; [constructor|].
        constructor; cbn; auto; [now rewrite app_nil_r|].
        intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N]; [cbn; now rewrite Nat.add_0_r|apply S].
    - (* full *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- I. constructor; auto. now rewrite I, len_some.
    - (* popped *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- C. constructor; auto. rewrite I, H0. apply map_app.
    - (* empty *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      constructor; auto. now rewrite I, H0.
    - (* nobody closes *)
      exfalso. pose proof (S p) as Sp. rewrite H in Sp. destruct Sp as (_ & F). exact F.
    - (* looked *)
      apply (quietly _ _ _ _ _ _ _ Q H eq_refl); auto.
      rewrite <- I, <- C. constructor.
    - pose proof (S p) as Sp. rewrite H in Sp. cbn in Sp.
      eexists. split; [eapply exec_vis; [apply a_ret; eauto|constructor]|].
      constructor; cbn; auto. intros t. unfold upd. destruct (N.eqb_spec t p) as [->|N];
        [reflexivity|apply S].
  Qed.

  Theorem late_is_atomic tr :
    is_trace (late_queue c d heavy) tr -> plain_calls d tr -> is_trace (atomic_queue c) tr.
  Proof.
    intros (s0 & s & (I & G & K & O) & X) P.
    pose (a0 := {| items := []; closed := false; status := fun _ => Outside |}).
    assert (same_queue s0 a0) as Q0.
    { constructor; cbn; auto; [now rewrite I|]. intros p. now rewrite O. }
    assert (exists b, exec (atomic_queue c) a0 tr b) as (b & Xb).
    { clear I G K O. revert Q0. generalize a0. clear a0.
      induction X as [s|s l s' tr s'' T X IH]; intros a Q; [exists a; constructor|].
      destruct (late_step _ _ _ _ Q T) as (b & Xb & Qb).
      - intros e ->. apply P. cbn. now left.
      - assert (plain_calls d tr) as P' by (intros e E; apply P, in_or_app; now right).
        destruct (IH P' b Qb) as (b' & X'). exists b'. exact (exec_app Xb X'). }
    exists a0, b. split; [|exact Xb]. repeat split.
  Qed.
End Plain.
