(** The turn ring gets on: [turn_lock_free].

    A call is at its loop's head when it has a ticket and has not looked at the
    slot yet. It comes there again only if meanwhile a word was changed, by
    another call or by itself where it cleared a void away.

    A word is changed by an effect (a ticket moves), by closing, or by a call
    that has taken effect and passes on one of its places. So whenever a call
    goes round, some call has got on: others may be told [Busy], but nobody goes
    round while nothing happens. That is lock-freedom in the sense in which the
    ring has it.

    Nor do these others go on for ever without an effect: of all words changed
    in an execution, those that are turns are at most twice the places pushed,
    and three for each slot ([turn_stores_bounded]).

    Counted are the rounds of [claim_again], [take_again] and of the runs. Not
    counted, because bounded by the Rust code and not by the model: first
    attempts that begin anew ([PUSH_TICKET], [POP_TICKET]: at most two in a
    call), hints, and looks of [still] (at most five).

    Idealised: as in [Proof.v]. *)

From Coq Require Import List NArith Lia Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
From Turtle.turn Require Import Model Proof.
Local Open Scope N_scope.

Local Arguments N.of_nat : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments firstn : simpl never.
Local Arguments phase_eqb : simpl never.
Local Arguments place_eqb : simpl never.

Section Progress.
Variable c : N.
Notation arith := (places c).
Notation pc := (pc arith).
Notation mem := (mem arith).
Notation cstate := (cstate arith).
Notation tu m i := (turns m (i mod c)).

Definition loop_head (x : pc) : Prop :=
  match x with PTurn _ _ O | CTurn _ _ O => True | _ => False end.

(** What the call has seen is still so. *)
Definition current (m : mem) (x : pc) : Prop :=
  match x with
  | PTurn _ t _ => push m = t
  | PStale _ t x | PFenced _ t x | PCheck _ t x | PStill _ t x => push m = t /\ tu m (snd t) = x
  | POldest _ t x h => push m = t /\ tu m (snd t) = x /\ pop m = h /\ snd h + c = snd t
  | PSweep _ t h => push m = t /\ pop m = h
  | CTurn _ h _ => pop m = h
  | CStale _ h x | CFenced _ h x | CCheck _ h x | CStill _ h x => pop m = h /\ tu m (snd h) = x
  | PTicket _ | CTicket _ | PMoved _ | PSwept _ _ _ | CMoved _ | CSwept _ _ => False
  | _ => True
  end.

Definition clearing (x : pc) : Prop :=
  match x with PSwept _ _ _ | CSwept _ _ => True | _ => False end.

Definition begins_anew (k : move) : Prop :=
  exists j, k = At PUSH_TICKET j \/ k = At POP_TICKET j.

Definition hint (k : move) : Prop :=
  exists j, k = At LOOK_PUSH j \/ k = At LOOK_POP j \/ k = At LOOK_TURN j.

Ltac split_all := repeat match goal with
  | H : _ /\ _ |- _ => destruct H
  | H : exists _, _ |- _ => destruct H
  end.

Lemma place_eqb_refl x : place_eqb x x = true.
Proof. now apply place_eqb_spec. Qed.
Lemma phase_eqb_refl x : phase_eqb x x = true.
Proof. destruct x; reflexivity. Qed.

Lemma current_holding m t todo n : current m (holding arith t todo n) /\ ~ loop_head (holding arith t todo n).
Proof. destruct todo; cbn; auto. Qed.
Lemma current_taking m h k got : current m (taking arith h k got) /\ ~ loop_head (taking arith h k got).
Proof. destruct k; cbn; auto. Qed.
Lemma current_push_saw m cs t : push m = t ->
  current m (push_saw arith cs t (tu m (snd t))) /\ ~ loop_head (push_saw arith cs t (tu m (snd t))).
Proof. intros E. unfold push_saw. destruct (turn_eqb _ _ _); [|destruct (sealed _ _)]; cbn; auto. Qed.
Lemma current_pop_saw m n h : pop m = h ->
  current m (pop_saw arith n h (tu m (snd h))) /\ ~ loop_head (pop_saw arith n h (tu m (snd h))).
Proof. intros E. unfold pop_saw. destruct (turn_eqb _ _ _); cbn; auto. Qed.

(** Every program point; of counters and lists, the first constructor. *)
Ltac points x :=
  destruct x as [| |? ? [|]| | | | | | | | | |? [|[|] ?] ?|? ? ?| |? ? [|]| | | | | | |? [|] ?|? ? ? ?| | |].

(** One step of a call for which everything is still so: it clears a void away,
    or everything is so afterwards and it is not at the head. *)
Lemma current_step m x k a x' : 1 <= c ->
  current m x -> tstep arith m x k = Some (a, x') -> ~ begins_anew k -> ~ hint k ->
  clearing x' \/ (current (apply a m) x' /\ ~ loop_head x').
Proof.
  intros Hc Cu H B Hi. destruct k as [k j| |].
  - destruct k; try (exfalso; apply B; eexists; auto; fail);
      try (exfalso; apply Hi; eexists; auto; fail);
      clear B Hi;
      points x;
      cbn in H; try discriminate H; unfold push_look, pop_look, push_ticket, pop_ticket in H; cbn in H;
      cbn in Cu; try tauto;
      repeat match goal with
      | H : _ /\ _ |- _ => destruct H
      | H : context [?i =? ?l] |- _ => destruct (N.eqb_spec i l); try discriminate H; cbn [andb] in H
      | H : context [if ?b then Some _ else None] |- _ => destruct b eqn:?; try discriminate H
      | H : context [if ?b then None else Some _] |- _ => destruct b eqn:?; try discriminate H
      end; subst; try (inv H; right; cbn;
        first [ apply current_holding | apply current_taking
              | apply current_push_saw; reflexivity | apply current_pop_saw; reflexivity
              | solve [auto] ]; fail).
    all: rewrite ?place_eqb_refl, ?phase_eqb_refl in H; cbn [andb orb] in H;
      repeat match type of H with
      | context [if ?b then _ else _] => destruct b eqn:?; cbn [andb orb] in H; try discriminate H
      end; inv H; try (right; cbn; solve [auto]); try (left; exact I).
    + right. cbn. apply place_eqb_spec in Heqb. rewrite <- Heqb. auto.
    + (* the slot of the oldest is this ticket's *)
      exfalso. match goal with E : snd (pop m) + c = snd (push m) |- _ =>
        rewrite <- E, (slot_lap c Hc) in * end.
      rewrite place_eqb_refl, phase_eqb_refl in *. discriminate.
  - points x;
      cbn in H; try discriminate H. inv H. right. cbn. auto.
  - points x;
      cbn in H; try discriminate H. inv H. right. cbn. auto.
Qed.

(** The words that others look at. *)
Definition same_words (m m' : mem) : Prop :=
  push m = push m' /\ pop m = pop m' /\ forall j, turns m j = turns m' j.

Lemma current_same m m' x : same_words m m' -> current m x -> current m' x.
Proof. intros (A & B & C). destruct x; cbn; rewrite ?A, ?B, ?C; auto. Qed.

(** A stretch of an execution in which thread [p] makes [n] steps of one call,
    and the others change no word. Thread [p] clears no void away meanwhile. *)
Inductive undisturbed (p : tid) : cstate -> nat -> cstate -> Prop :=
| u_nil s : undisturbed p s 0 s
| u_step s k a x n s' :
    tstep arith (memory s) (pcs s p) k = Some (a, x) ->
    ~ begins_anew k -> ~ hint k -> ~ clearing x ->
    undisturbed p {| memory := apply a (memory s); pcs := upd (pcs s) p x |} n s' ->
    undisturbed p s (S n) s'
| u_others s s1 n s' :
    pcs s1 p = pcs s p -> same_words (memory s) (memory s1) ->
    undisturbed p s1 n s' -> undisturbed p s n s'.

Lemma undisturbed_current p s n s' : 1 <= c -> undisturbed p s n s' ->
  current (memory s) (pcs s p) ->
  current (memory s') (pcs s' p) /\ (n <> O -> ~ loop_head (pcs s' p)) /\
  (~ loop_head (pcs s p) -> ~ loop_head (pcs s' p)).
Proof.
  intros Hc U. induction U as [s|s k a x n s' T B H N U IH|s s1 n s' E W U IH]; intros Cu.
  - split; [exact Cu|]. split; [congruence|auto].
  - destruct (current_step _ _ _ _ _ Hc Cu T B H) as [L|[Cu' L]]; [tauto|].
    cbn in IH. rewrite upd_same in IH. destruct (IH Cu') as (X & Y & Z). auto.
  - destruct IH as (X & Y & Z).
    + rewrite E. eapply current_same; eauto.
    + rewrite E in Z. auto.
Qed.

(** Hints of [p] itself are among the steps that change nothing. *)
Lemma hint_changes_nothing m x k a x' : hint k -> tstep arith m x k = Some (a, x') ->
  x' = x /\ same_words m (apply a m).
Proof.
  intros (j & [->|[->| ->]]) H; cbn in H; destruct (idle _ _); inv H; repeat split.
Qed.

(** From the head with the ticket as it is now, a call does not come to the head
    again while nobody changes a word. *)
Theorem turn_lock_free p s n s' : 1 <= c -> undisturbed p s n s' ->
  (exists cs, pcs s p = PTurn cs (push (memory s)) 0) \/
  (exists k, pcs s p = CTurn k (pop (memory s)) 0) ->
  n <> O -> ~ loop_head (pcs s' p).
Proof.
  intros Hc U H N. destruct (undisturbed_current _ _ _ _ Hc U) as (_ & K & _); [|exact (K N)].
  destruct H as [[cs ->]|[k ->]]; reflexivity.
Qed.

(** * Turns are stored to a bounded number of times *)

Notation pos x := (snd (fst x)).

Fixpoint sum (f : N -> N) (n : nat) : N :=
  match n with O => 0 | S k => sum f k + f (N.of_nat k) end.

Lemma sum_same f f' n : (forall i, i < N.of_nat n -> f' i = f i) -> sum f' n = sum f n.
Proof.
  induction n as [|n IH]; intros E; cbn; [reflexivity|]. rewrite IH, E by (intros; try apply E; lia).
  reflexivity.
Qed.

Lemma sum_one_more f f' n j : j < N.of_nat n -> f' j = f j + 1 -> (forall i, i <> j -> f' i = f i) ->
  sum f' n = sum f n + 1.
Proof.
  induction n as [|n IH]; intros L E O; [lia|]. cbn.
  destruct (N.eq_dec j (N.of_nat n)) as [->|D].
  - rewrite E, (sum_same f f' n); [lia|]. intros i Hi. apply O. lia.
  - rewrite IH by (auto; lia). rewrite (O (N.of_nat n)) by auto. lia.
Qed.

Lemma sum_le f n b : (forall i, i < N.of_nat n -> f i <= b) -> sum f n <= N.of_nat n * b.
Proof.
  induction n as [|n IH]; intros H; [cbn; lia|]. cbn [sum].
  pose proof (H (N.of_nat n) ltac:(lia)). specialize (IH ltac:(intros; apply H; lia)). lia.
Qed.

(** How often the turn of a slot has been stored to. *)
Definition stored_to (m : mem) (j : N) : N :=
  2 * (pos (turns m j) / c) + match snd (turns m j) with Free => 0 | _ => 1 end.

Definition is_store (a : acc arith) : N := match a with StoreTurn _ _ => 1 | _ => 0 end.

Lemma store_counts s na p k a x : 1 <= c -> R c s na ->
  tstep arith (memory s) (pcs s p) k = Some (a, x) ->
  sum (stored_to (apply a (memory s))) (N.to_nat c) =
  sum (stored_to (memory s)) (N.to_nat c) + is_store a.
Proof.
  intros Hc (g & G & _ & _ & K) H. specialize (K p). set (m := memory s) in *.
  assert ((exists i y, a = StoreTurn (i mod c) y /\ fst (turns m (i mod c)) = (false, i) /\
      ((snd (turns m (i mod c)) = Free /\ fst y = (false, i) /\ snd y <> Free) \/
       (snd (turns m (i mod c)) <> Free /\ y = ((false, i + c), Free)))) \/
    (is_store a = 0 /\ turns (apply a m) = turns m)) as [(i & y & -> & Ti & Y)|[-> E]].
  { assert (forall t : place, fst t = false -> t = (false, snd t)) as Bare
      by (intros [b i]; cbn; congruence).
    destruct k as [k j| |]; [destruct k| |]; points (pcs s p);
      cbn in H; try discriminate H; unfold push_look, pop_look, push_ticket, pop_ticket in H; cbn in H;
      repeat match type of H with
      | context [?i =? ?l] => destruct (N.eqb_spec i l); try discriminate H; cbn [andb] in H
      | context [if ?b then _ else _] => destruct b eqn:?; try discriminate H
      end; inv H; try (right; split; reflexivity); left; cbn in K; split_all.
    all: match goal with |- exists i y, StoreTurn (snd ?t mod c) ?z = _ /\ _ => exists (snd t), z end.
    all: split; [reflexivity|].
    all: try match goal with F : fills _ _ _ _ _ _ |- _ =>
      destruct F as [F1 F2]; destruct (F2 O _ eq_refl) as (_ & _ & F3 & _); cbn in F3;
      rewrite N.add_0_r in F3; fold m; rewrite F3; cbn; split; [reflexivity|left];
      rewrite <- Bare by exact F1;
      repeat split; discriminate end.
    all: try match goal with F : clears _ _ _ _ _ |- _ =>
      destruct F as (F1 & _ & F3 & _); fold m; rewrite F3; cbn; split; [reflexivity|right];
      split; [discriminate|reflexivity] end.
    all: match goal with F : empties _ _ _ _ _ _ |- _ =>
      destruct F as [F1 F2]; destruct (F2 O _ eq_refl) as (_ & _ & F3 & _); cbn in F3;
      rewrite N.add_0_r in F3; fold m; rewrite F3; cbn; split; [reflexivity|right];
      split; [discriminate|reflexivity] end. }
  - cbn [is_store]. apply sum_one_more with (j := i mod c).
    + pose proof (slot_lt c Hc i). lia.
    + unfold stored_to. cbn [apply turns]. rewrite upd_same.
      destruct (turns m (i mod c)) as [u ph]. cbn [fst snd] in *. subst u. cbn [fst snd].
      destruct Y as [(-> & F & NF)|(NF & ->)]; cbn [fst snd].
      * rewrite F. cbn [fst snd]. destruct (snd y); congruence || lia.
      * replace (i + c) with (i + 1 * c) by lia. rewrite N.div_add by lia.
        destruct ph; try congruence; lia.
    + intros j N. unfold stored_to. cbn. now rewrite upd_other.
  - rewrite N.add_0_r. apply sum_same. intros j _. unfold stored_to. now rewrite E.
Qed.

(** An execution with the number of stores to turns in it. *)
Inductive stores : cstate -> N -> cstate -> Prop :=
| st_nil s : stores s 0 s
| st_step s p k a x n s' :
    tstep arith (memory s) (pcs s p) k = Some (a, x) ->
    stores {| memory := apply a (memory s); pcs := upd (pcs s) p x |} n s' ->
    stores s (is_store a + n) s'
| st_visible s e s1 n s' : ctrans arith s (Some e) s1 -> stores s1 n s' -> stores s n s'.

Lemma stores_sum s n s' : 1 <= c -> stores s n s' -> (exists a, R c s a) ->
  sum (stored_to (memory s')) (N.to_nat c) = sum (stored_to (memory s)) (N.to_nat c) + n /\
  exists a, R c s' a.
Proof.
  intros Hc X. induction X as [s|s p k a x n s' T X IH|s e s1 n s' T X IH]; intros [na HR].
  - split; [lia|eauto].
  - destruct (fsim_step (turn_fsim c Hc) _ _ _ _ HR (c_step arith s p k a x T)) as (na' & _ & HR').
    destruct (IH (ex_intro _ _ HR')) as [E Z]. split; [|exact Z]. cbn in E. rewrite E.
    rewrite (store_counts _ _ _ _ _ _ Hc HR T). lia.
  - destruct (fsim_step (turn_fsim c Hc) _ _ _ _ HR T) as (na' & _ & HR').
    destruct (IH (ex_intro _ _ HR')) as [E Z]. split; [|exact Z]. rewrite E.
    f_equal. inv T; reflexivity.
Qed.

Theorem turn_stores_bounded s0 n s : 1 <= c -> initial (turn_ring c) s0 -> stores s0 n s ->
  n <= 2 * snd (push (memory s) : place) + 3 * c.
Proof.
  intros Hc I X. destruct (fsim_init (turn_fsim c Hc) _ I) as (a0 & _ & R0).
  destruct (stores_sum _ _ _ Hc X (ex_intro _ _ R0)) as (E & a & g & G & _).
  set (tp := snd (push (memory s) : place)) in *.
  assert (sum (stored_to (memory s)) (N.to_nat c) <= N.of_nat (N.to_nat c) * (2 * (tp / c) + 3)) as B.
  { apply sum_le. intros j L. unfold stored_to.
    assert (pos (turns (memory s) j) < tp + c) as Lt.
    { destruct (g_own _ _ _ _ G j ltac:(lia)) as [_ M].
      set (u := pos (turns (memory s) j)) in *. pose proof (g_ord _ _ _ _ G) as O. fold tp in O.
      destruct (N.le_gt_cases c u) as [Le|Le]; [|lia].
      pose proof (g_lo _ _ _ _ G (u - c)) as Lo.
      assert ((u - c) mod c = j) as Ej.
      { rewrite <- M. rewrite <- (slot_lap c Hc (u - c)). f_equal. lia. }
      rewrite Ej in Lo. fold u in Lo. specialize (Lo ltac:(lia)). lia. }
    assert (pos (turns (memory s) j) / c <= tp / c + 1) as D.
    { replace (tp / c + 1) with ((tp + 1 * c) / c) by (apply N.div_add; lia).
      apply N.div_le_mono; lia. }
    destruct (snd (turns (memory s) j)); lia. }
  pose proof (N.mul_div_le tp c ltac:(lia)) as F.
  rewrite N2Nat.id in B. nia.
Qed.
End Progress.
