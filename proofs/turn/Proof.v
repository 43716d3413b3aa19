(** The turn ring is a bounded FIFO queue: [turn_linearizable].

    Every history of the ring of [Model.v] over positions, with any number of
    threads and any capacity from 1 on, is a history of [atomic_queue]: pushes
    and pops of runs, claims given back, closing; [Full], [Empty] and [Closed]
    exact, [Busy] only while another call is halfway.

    The invariant carries the numbers of the Rust file: I1 is [g_ord] and
    [g_cap]; I2 and I3 are [g_free], [g_full], [g_void] with what each thread
    knows of the slots it holds ([tinv]); I4 is [env]; I5 is [nclosed] and the
    comparison of the whole word in [PUSH_CLAIM].

    Also here: no two threads are at the payload of one slot at once
    ([turn_no_race]), so payloads need no atomic access.

    Idealised: positions never wrap (lifted in [Words.v]); one access after the
    other. Progress: [Progress.v]. *)

From Coq Require Import List NArith Lia Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue.
From Turtle.turn Require Import Model.
Local Open Scope N_scope.

Local Arguments N.of_nat : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments firstn : simpl never.
Local Arguments elements : simpl never.
Local Arguments phase_eqb : simpl never.
Local Arguments place_eqb : simpl never.

Ltac inv H := inversion H; subst; clear H.

Section Proof.
Variable c : N.
Hypothesis Hc : 1 <= c.

Notation arith := (places c).
Notation pc := (pc arith).
Notation mem := (mem arith).
Notation cstate := (cstate arith).
Notation T i ph := ((false, i) : place, ph : phase).
Notation pos x := (snd (fst x)).
Notation tu m i := (turns m (i mod c)).
Notation hp m := (snd (pop m : place)).
Notation tp m := (snd (push m : place)).

(** * Comparisons *)

Lemma place_eqb_spec x y : place_eqb x y = true <-> x = y.
Proof.
  unfold place_eqb. rewrite andb_true_iff, eqb_true_iff, N.eqb_eq.
  destruct x, y; cbn. split; [intros []|intros E; inversion E]; subst; auto.
Qed.

Lemma turn_eqb_spec (x y : turn arith) : turn_eqb arith x y = true <-> x = y.
Proof.
  cbn. rewrite andb_true_iff, place_eqb_spec. destruct x as [x px], y as [y py]; cbn.
  split; [intros [-> H]|intros E; inversion E; subst; split; [auto|destruct py; auto]].
  destruct px, py; try discriminate; auto.
Qed.

Lemma place_eqb_no x y : place_eqb x y = false <-> x <> y.
Proof. rewrite <- place_eqb_spec. destruct (place_eqb x y); split; congruence. Qed.

Lemma turn_eqb_no (x y : turn arith) : turn_eqb arith x y = false <-> x <> y.
Proof. rewrite <- turn_eqb_spec. destruct (turn_eqb arith x y); split; congruence. Qed.

(** * Slots *)

Lemma slot_later i j : i mod c = j mod c -> i < j -> i + c <= j.
Proof.
  intros E L. pose proof (N.div_mod i c ltac:(lia)) as A. pose proof (N.div_mod j c ltac:(lia)) as B.
  rewrite E in A. assert (i / c < j / c) by nia. nia.
Qed.

Lemma slot_lap i : (i + c) mod c = i mod c.
Proof. replace (i + c) with (i + 1 * c) by lia. apply N.mod_add. lia. Qed.

Lemma slot_lt i : i mod c < c.
Proof. apply N.mod_lt. lia. Qed.

(** * What is known

    Ghosts: what was pushed at each position, by whom, and who took it out. *)
Record ghost := { what : N -> cell; who : N -> tid; taker : N -> tid }.

(** The slots that a thread holds: to fill, to empty, to clear. *)
Definition putter (x : pc) (i : N) : Prop :=
  match x with
  | PHold t todo _ => snd t <= i < snd t + len todo
  | PWritten t todo _ => snd t <= i < snd t + 1 + len todo
  | _ => False
  end.
Definition getter (x : pc) (i : N) : Prop :=
  match x with
  | CHold h k _ => snd h <= i < snd h + N.of_nat k
  | CRead h _ k _ => snd h <= i < snd h + 1 + N.of_nat k
  | _ => False
  end.
Definition sweeper (x : pc) (i : N) : Prop :=
  match x with PSwept _ _ h | CSwept _ h => snd h = i | _ => False end.

Definition bystander (x : pc) : Prop :=
  forall i, ~ putter x i /\ ~ getter x i /\ ~ sweeper x i.

Record ginv (m : mem) (P : tid -> pc) (g : ghost) : Prop := {
  g_pop : fst (pop m : place) = false;
  g_ord : hp m <= tp m;
  g_cap : tp m <= hp m + c;
  (* a slot's turn is one of its own positions *)
  g_own : forall j, j < c -> fst (fst (turns m j)) = false /\ pos (turns m j) mod c = j;
  (* its earlier positions are popped, its later ones not pushed *)
  g_lo : forall i, i < pos (tu m i) -> i < hp m;
  g_hi : forall i, pos (tu m i) < i -> tp m <= i;
  g_free : forall i, tu m i = T i Free -> hp m <= i /\ (i < tp m -> putter (P (who g i)) i);
  g_full : forall i, tu m i = T i Filled ->
    i < tp m /\ what g i = Some (payloads m (i mod c)) /\ (i < hp m -> getter (P (taker g i)) i);
  g_void : forall i, tu m i = T i Void ->
    i < tp m /\ what g i = None /\ (i < hp m -> sweeper (P (taker g i)) i)
}.

(** The turn of [i] is or was at [ph]. *)
Definition past (m : mem) (i : N) (ph : phase) : Prop := tu m i = T i ph \/ i < pos (tu m i).

(** A push with ticket [t]: if it is not sealed, the queue was full when it was
    read, or there is room by now. *)
Definition ticketed (m : mem) (l : list res) (t : place) : Prop :=
  snd t <= tp m /\ (fst t = true -> In Closed l) /\
  (fst t = false -> In Full l \/ snd t < hp m + c).

Definition fills (m : mem) (g : ghost) (p : tid) (t : place) (todo : list cell) : Prop :=
  fst t = false /\ forall k x, nth_error todo k = Some x ->
    let i := snd t + N.of_nat k in what g i = x /\ who g i = p /\ tu m i = T i Free /\ i < tp m.

Definition empties (m : mem) (g : ghost) (p : tid) (h : place) (rest : list val) : Prop :=
  fst h = false /\ forall k v, nth_error rest k = Some v ->
    let i := snd h + N.of_nat k in
    what g i = Some v /\ taker g i = p /\ tu m i = T i Filled /\ i < hp m.

Definition clears (m : mem) (g : ghost) (p : tid) (h : place) : Prop :=
  fst h = false /\ snd h < hp m /\ tu m (snd h) = T (snd h) Void /\ taker g (snd h) = p.

(** What thread [p] at [x] knows, and where its call is. *)
Definition tinv (m : mem) (g : ghost) (p : tid) (x : pc) (a : nstat) : Prop :=
  match x with
  | Idle => a = NOutside
  | PTicket cs | PMoved cs => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l
  | PTurn cs t k => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      (k <= length cs)%nat /\ (k <> O -> fst t = false) /\
      forall i, snd t <= i < snd t + N.of_nat k -> i <= pos (tu m i)
  | PShut cs => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ In Closed l
  | PStale cs t x => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ (pos x + c <> snd t -> snd t < tp m)
  | PFenced cs t x => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ pos x + c = snd t
  | POldest cs t x h => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ fst h = false /\ snd h + c = snd t /\ In Full l
  | PSweep cs t h => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ fst h = false /\ snd h + c = snd t /\ past m (snd h) Void
  | PSwept cs t h => asks (Push cs) = true /\ a = NSweeping (Push cs) /\ snd t <= tp m /\
      fst t = false /\ snd h + c = snd t /\ clears m g p h
  | PCheck cs t x => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ pos x + c = snd t /\ snd t < hp m + c
  | PStill cs t x => asks (Push cs) = true /\ exists l, a = NCalled (Push cs) l /\ ticketed m l t /\
      fst t = false /\ pos x + c = snd t /\ snd t < hp m + c /\
      (fst (push m : place) = true \/ In Busy l)
  | PHold t todo n => a = NDone (Pushed n) /\ fills m g p t todo
  | PWritten t todo n => a = NDone (Pushed n) /\
      exists v, fills m g p t (Some v :: todo) /\ payloads m (snd t mod c) = v
  | CTicket n | CMoved n => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l
  | CTurn n h k => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l /\ fst h = false /\
      snd h <= hp m /\ (k <= n)%nat /\
      forall i, snd h <= i < snd h + N.of_nat k -> past m i Filled
  | CStale n h x => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l /\ fst h = false /\
      snd h <= hp m /\ (x = T (snd h) Void -> past m (snd h) Void) /\
      (x <> T (snd h) Void -> x <> T (snd h) Free -> pos x + c <> snd h -> snd h < hp m)
  | CFenced n h x => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l /\ fst h = false /\
      snd h <= hp m /\ (x = T (snd h) Free \/ pos x + c = snd h)
  | CCheck n h x => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l /\ fst h = false /\
      snd h <= hp m /\ (x = T (snd h) Free \/ pos x + c = snd h) /\ snd h < tp m
  | CStill n h x => asks (Pop n) = true /\ exists l, a = NCalled (Pop n) l /\ fst h = false /\
      snd h <= hp m /\ (x = T (snd h) Free \/ pos x + c = snd h) /\ snd h < tp m /\ In Busy l
  | CSwept n h => asks (Pop n) = true /\ a = NSweeping (Pop n) /\ clears m g p h
  | CHold h k got => exists rest, a = NDone (Popped (got ++ rest)) /\ length rest = k /\
      empties m g p h rest
  | CRead h v k got => exists rest, a = NDone (Popped (got ++ v :: rest)) /\ length rest = k /\
      empties m g p h (v :: rest)
  | SMark => exists l, a = NCalled Seal l
  | Looking => exists l, a = NCalled Look l
  | Fin r => a = NDone r \/ exists o l, a = NCalled o l /\ In r l
  end.

Arguments past : simpl never.
Arguments ticketed : simpl never.
Arguments fills : simpl never.
Arguments empties : simpl never.
Arguments clears : simpl never.

Fixpoint range (h : N) (n : nat) : list N :=
  match n with O => [] | S n => h :: range (h + 1) n end.

Definition content (m : mem) (g : ghost) : list cell :=
  map (what g) (range (hp m) (N.to_nat (tp m - hp m))).

Definition R (s : cstate) (a : nstate) : Prop :=
  exists g, ginv (memory s) (pcs s) g /\ nitems a = content (memory s) g /\
    nclosed a = fst (push (memory s) : place) /\
    forall p, tinv (memory s) g p (pcs s p) (nstatus a p).

(** * What the others may do meanwhile (I4) *)
Record env (p : tid) (m : mem) (g : ghost) (m' : mem) (g' : ghost) : Prop := {
  e_tp : tp m <= tp m';
  e_hp : hp m <= hp m';
  e_seal : fst (push m : place) = true -> fst (push m' : place) = true;
  e_pos : forall i, pos (tu m i) <= pos (tu m' i);
  e_past : forall i ph, ph <> Free -> past m i ph -> past m' i ph;
  e_put : forall i, who g i = p -> i < tp m -> tu m i = T i Free ->
    what g' i = what g i /\ who g' i = p /\ tu m' i = T i Free /\
    payloads m' (i mod c) = payloads m (i mod c);
  e_take : forall i ph, taker g i = p -> i < hp m -> tu m i = T i ph -> ph <> Free ->
    i < tp m -> what g' i = what g i /\ taker g' i = p /\ tu m' i = T i ph
}.

Lemma ticketed_env p m g m' g' l t : env p m g m' g' -> ticketed m l t -> ticketed m' l t.
Proof.
  intros E (A & B & C). pose proof (e_tp _ _ _ _ _ E). pose proof (e_hp _ _ _ _ _ E).
  split; [lia|]. split; auto. intros F. destruct (C F); auto. right; lia.
Qed.

Lemma fills_env p m g m' g' t todo : env p m g m' g' -> fills m g p t todo -> fills m' g' p t todo.
Proof.
  intros E (A & B). split; auto. intros k x H. destruct (B k x H) as (B1 & B2 & B3 & B4).
  destruct (e_put _ _ _ _ _ E _ B2 B4 B3) as (C1 & C2 & C3 & _).
  pose proof (e_tp _ _ _ _ _ E). cbn. repeat split; auto; [congruence|lia].
Qed.

Lemma empties_env p m g m' g' h rest :
  env p m g m' g' -> hp m <= tp m -> empties m g p h rest -> empties m' g' p h rest.
Proof.
  intros E O (A & B). split; auto. intros k x H. destruct (B k x H) as (B1 & B2 & B3 & B4).
  destruct (e_take _ _ _ _ _ E _ Filled B2 B4 B3) as (C1 & C2 & C3); [discriminate|lia|].
  pose proof (e_hp _ _ _ _ _ E). cbn. repeat split; auto; [congruence|lia].
Qed.

Lemma clears_env p m g m' g' h :
  env p m g m' g' -> hp m <= tp m -> clears m g p h -> clears m' g' p h.
Proof.
  intros E O (A & B & C & D).
  destruct (e_take _ _ _ _ _ E _ Void D B C) as (_ & F & G); [discriminate|lia|].
  pose proof (e_hp _ _ _ _ _ E). repeat split; auto; lia.
Qed.

Ltac easy_parts := repeat match goal with |- _ /\ _ => split; [solve [eauto]|] end.
Ltac split_all := repeat match goal with
  | H : _ /\ _ |- _ => destruct H
  | H : exists _, _ |- _ => destruct H
  end.

Lemma tinv_env p m g m' g' x a :
  env p m g m' g' -> hp m <= tp m -> tinv m g p x a -> tinv m' g' p x a.
Proof.
  intros E O H. pose proof (e_tp _ _ _ _ _ E) as E1. pose proof (e_hp _ _ _ _ _ E) as E2.
  pose proof (e_seal _ _ _ _ _ E) as E3. pose proof (e_pos _ _ _ _ _ E) as E4.
  pose proof (e_past _ _ _ _ _ E) as E5.
  assert (forall l t, ticketed m l t -> ticketed m' l t) as E6 by eauto using ticketed_env.
  assert (forall t todo, fills m g p t todo -> fills m' g' p t todo) as E7 by eauto using fills_env.
  assert (forall t todo, empties m g p t todo -> empties m' g' p t todo) as E8
    by eauto using empties_env.
  assert (forall h, clears m g p h -> clears m' g' p h) as E9 by eauto using clears_env.
  destruct x; cbn in *; auto; split_all; repeat (split; auto).
  all: try (eexists; split; [eassumption|]; repeat (split; eauto); try lia).
  all: try lia.
  all: try (intros; apply E5; [discriminate|]; auto; fail).
  all: try (intros; eapply N.le_trans; [|apply E4]; auto; fail).
  all: try (intros; eapply N.lt_le_trans; [|exact E2]; auto; fail).
  all: try (match goal with H : _ \/ In Busy _ |- _ => destruct H; auto; fail end).
  match goal with H : fills _ _ _ _ _ |- _ => pose proof (proj2 H 0%nat _ eq_refl) as (_ & B2 & B3 & B4) end.
  cbn in B2, B3, B4. rewrite N.add_0_r in *.
  destruct (e_put _ _ _ _ _ E _ B2 B4 B3) as (_ & _ & _ & B5).
  eexists; split; [eauto|]. etransitivity; [exact B5|assumption].
Qed.

(** * Positions in a row *)

Lemma range_length h n : length (range h n) = n.
Proof. revert h. induction n; cbn; auto. Qed.

Lemma range_app h n k : range h (n + k) = range h n ++ range (h + N.of_nat n) k.
Proof.
  revert h. induction n as [|n IH]; intros h.
  - cbn [Nat.add range app]. now rewrite N.add_0_r.
  - cbn [Nat.add range app]. rewrite IH. do 3 f_equal. lia.
Qed.

Lemma in_range i h n : In i (range h n) <-> h <= i < h + N.of_nat n.
Proof.
  revert h. induction n as [|n IH]; intros h; [cbn; lia|].
  cbn [range In]. rewrite IH. lia.
Qed.

Lemma nth_range k i h n : nth_error (range h n) k = Some i -> i = h + N.of_nat k /\ (k < n)%nat.
Proof.
  revert h k. induction n as [|n IH]; intros h [|k] H; try discriminate; cbn in H.
  - inv H. lia.
  - apply IH in H. lia.
Qed.

(** [l] at the positions from [t] on; [x] at [k] of them. *)
Definition fill {A} (f : N -> A) (t : N) (l : list A) : N -> A :=
  fun i => if t <=? i then match nth_error l (N.to_nat (i - t)) with Some x => x | None => f i end
           else f i.
Definition stamp {A} (f : N -> A) (t : N) (k : nat) (x : A) : N -> A :=
  fun i => if (t <=? i) && (i <? t + N.of_nat k) then x else f i.

Lemma fill_before {A} (f : N -> A) t l i : i < t -> fill f t l i = f i.
Proof. intros L. unfold fill. destruct (N.leb_spec t i); [lia|reflexivity]. Qed.

Lemma fill_at {A} (f : N -> A) t l k x :
  nth_error l k = Some x -> fill f t l (t + N.of_nat k) = x.
Proof.
  intros H. unfold fill. destruct (N.leb_spec t (t + N.of_nat k)); [|lia].
  replace (N.to_nat (t + N.of_nat k - t)) with k by lia. now rewrite H.
Qed.

Lemma stamp_in {A} (f : N -> A) t k x i : t <= i < t + N.of_nat k -> stamp f t k x i = x.
Proof.
  intros L. unfold stamp. destruct (N.leb_spec t i), (N.ltb_spec i (t + N.of_nat k)); cbn; auto; lia.
Qed.

Lemma stamp_out {A} (f : N -> A) t k x i : ~ t <= i < t + N.of_nat k -> stamp f t k x i = f i.
Proof.
  intros L. unfold stamp. destruct (N.leb_spec t i), (N.ltb_spec i (t + N.of_nat k)); cbn; auto; lia.
Qed.

Lemma map_fill {A} (f : N -> A) t l : map (fill f t l) (range t (length l)) = l.
Proof.
  revert t. induction l as [|x l IH]; intros t; auto. cbn [length range map]. f_equal.
  - replace t with (t + N.of_nat 0) at 2 by lia. now apply fill_at.
  - transitivity (map (fill f (t + 1) l) (range (t + 1) (length l))); [|apply IH].
    apply map_ext_in. intros i Hi. apply in_range in Hi.
    unfold fill. destruct (N.leb_spec t i), (N.leb_spec (t + 1) i); try lia.
    replace (N.to_nat (i - t)) with (S (N.to_nat (i - (t + 1)))) by lia. cbn.
    reflexivity.
Qed.

(** * Consequences of the invariant *)
Section Invariant.
Variables (m : mem) (P : tid -> pc) (g : ghost).
Hypothesis G : ginv m P g.

Lemma at_pos i : pos (tu m i) = i -> exists ph, tu m i = T i ph.
Proof.
  intros E. destruct (g_own _ _ _ G (i mod c) (slot_lt i)) as [A _].
  destruct (tu m i) as [[b j] ph]. cbn in *. subst. eauto.
Qed.

(** A slot not yet at [t]'s turn is exactly one lap behind. *)
Lemma behind t : t <= tp m -> pos (tu m t) < t -> pos (tu m t) + c = t.
Proof.
  intros L B. destruct (g_own _ _ _ G (t mod c) (slot_lt t)) as [_ E].
  pose proof (slot_later _ _ E B) as K. destruct (N.eq_dec (pos (tu m t) + c) t) as [|N]; auto.
  exfalso. set (u := pos (tu m t)) in *.
  assert ((u + c) mod c = t mod c) as F by (rewrite slot_lap; exact E).
  pose proof (g_hi _ _ _ G (u + c)) as H. rewrite F in H. fold u in H.
  specialize (H ltac:(lia)). lia.
Qed.

(** A slot seen on a later push's turn is free for it, and inside the capacity. *)
Lemma free_now i : tp m <= i -> i <= pos (tu m i) -> tu m i = T i Free /\ i < hp m + c.
Proof.
  intros L B. pose proof (g_ord _ _ _ G) as O.
  assert (pos (tu m i) = i) as E.
  { destruct (N.eq_dec (pos (tu m i)) i); auto. pose proof (g_lo _ _ _ G i ltac:(lia)). lia. }
  destruct (at_pos i E) as [ph F]. split.
  - destruct ph; auto; exfalso.
    + destruct (g_full _ _ _ G i F). lia.
    + destruct (g_void _ _ _ G i F). lia.
  - destruct (N.le_gt_cases c i) as [K|K]; [|lia].
    pose proof (g_lo _ _ _ G (i - c)) as H.
    replace ((i - c) mod c) with (i mod c) in H
      by (rewrite <- (slot_lap (i - c)); f_equal; lia).
    specialize (H ltac:(lia)). lia.
Qed.

Lemma ready_now i ph : hp m <= i -> past m i ph -> tu m i = T i ph.
Proof. intros L [E|B]; auto. pose proof (g_lo _ _ _ G i B). lia. Qed.

Lemma content_length : len (content m g) = tp m - hp m.
Proof.
  unfold content, len. rewrite map_length, range_length. lia.
Qed.

Lemma push_saw_knows p cs l t :
  asks (Push cs) = true -> ticketed m l t ->
  tinv m g p (push_saw arith cs t (tu m (snd t))) (NCalled (Push cs) l).
Proof.
  intros A K. pose proof K as (K1 & K2 & K3). unfold push_saw.
  destruct (turn_eqb arith _ _) eqn:E; [apply turn_eqb_spec in E|apply turn_eqb_no in E].
  - cbn in E |- *. split; [exact A|]. exists l. easy_parts. split; [|split].
    + destruct cs; [discriminate A|cbn; lia].
    + intros _. destruct (g_own _ _ _ G (snd t mod c) (slot_lt _)) as [B _].
      rewrite E in B. exact B.
    + intros i Hi. replace i with (snd t) by lia. rewrite E. cbn. lia.
  - cbn [sealed places]. destruct (fst (t : place)) eqn:F; cbn; (split; [exact A|]); exists l; [auto|].
    easy_parts. intros NB. destruct (N.lt_total (pos (tu m (snd t))) (snd t)) as [L|[L|L]].
    + destruct NB. now apply behind.
    + destruct (at_pos _ L) as [ph H]. destruct ph.
      * destruct E. rewrite H. cbn. destruct t as [b i]; cbn in *. now subst.
      * now destruct (g_full _ _ _ G _ H).
      * now destruct (g_void _ _ _ G _ H).
    + pose proof (g_lo _ _ _ G _ L). pose proof (g_ord _ _ _ G). lia.
Qed.

Lemma pop_saw_knows p n l (h : place) :
  asks (Pop n) = true -> fst h = false -> snd h <= hp m ->
  tinv m g p (pop_saw arith n h (tu m (snd h))) (NCalled (Pop n) l).
Proof.
  intros A F K. unfold pop_saw.
  assert (h = (false, snd h)) as H0 by (destruct h; cbn in *; now subst).
  destruct (turn_eqb arith _ _) eqn:E; [apply turn_eqb_spec in E|apply turn_eqb_no in E].
  - cbn in E |- *. split; [exact A|]. exists l. easy_parts. split.
    + destruct n; [discriminate A|lia].
    + intros i Hi. replace i with (snd h) by lia. left. rewrite E. now rewrite H0 at 1.
  - cbn in E. rewrite H0 in E at 2. cbn. split; [exact A|]. exists l. easy_parts. split.
    + intros H. now left.
    + intros U V W. destruct (N.lt_total (pos (tu m (snd h))) (snd h)) as [L|[L|L]].
      * destruct W. apply behind; auto. pose proof (g_ord _ _ _ G). lia.
      * destruct (at_pos _ L) as [ph H]. destruct ph; congruence.
      * exact (g_lo _ _ _ G _ L).
Qed.
End Invariant.

(** * Steps that change no word *)

(** The call notes something, or nothing. *)
Definition learns (a a' : nstate) (p : tid) : Prop :=
  exec (noting_queue c) a [] a' /\ nitems a' = nitems a /\ nclosed a' = nclosed a /\
  forall q, q <> p -> nstatus a' q = nstatus a q.

Lemma learns_nothing a p : learns a a p.
Proof. repeat split. constructor. Qed.

Lemma note a p o l r :
  nstatus a p = NCalled o l -> quiet r = true ->
  effect c (view a) p o r (nitems a) (nclosed a) ->
  exists a', learns a a' p /\ nstatus a' p = NCalled o (r :: l).
Proof.
  intros E Q F.
  exists {| nitems := nitems a; nclosed := nclosed a; nstatus := upd (nstatus a) p (NCalled o (r :: l)) |}.
  split; [split; [|repeat split]|].
  - eapply exec_tau; [eapply n_note; eauto|constructor].
  - intros q N. cbn. now apply upd_other.
  - cbn. apply upd_same.
Qed.

(** The ticket of a push, read now. *)
Lemma reticket m P g a p cs l :
  ginv m P g -> nitems a = content m g -> nclosed a = fst (push m : place) ->
  nstatus a p = NCalled (Push cs) l ->
  exists a' l', learns a a' p /\ nstatus a' p = NCalled (Push cs) l' /\ ticketed m l' (push m).
Proof.
  intros G I C E. destruct (fst (push m : place)) eqn:F.
  - destruct (note a p _ l Closed E eq_refl) as (a' & L & E').
    { rewrite C. apply e_push_closed. exact C. }
    exists a', (Closed :: l). split; [exact L|]. split; [exact E'|].
    split; [lia|]. split; [intros _; now left|congruence].
  - destruct (N.eq_dec (tp m) (hp m + c)) as [N|N].
    + destruct (note a p _ l Full E eq_refl) as (a' & L & E').
      { rewrite C. apply e_full; [exact C|]. cbn. rewrite I, content_length. lia. }
      exists a', (Full :: l). split; [exact L|]. split; [exact E'|].
      split; [lia|]. split; [congruence|]. intros _. left. now left.
    + exists a, l. split; [apply learns_nothing|]. split; [exact E|].
      split; [lia|]. split; [congruence|]. intros _. right.
      pose proof (g_cap _ _ _ G). lia.
Qed.

Lemma bystander_keeps x x' :
  bystander x -> (forall i, putter x i -> putter x' i) /\ (forall i, getter x i -> getter x' i) /\
    (forall i, sweeper x i -> sweeper x' i).
Proof. intros B. repeat split; intros i H; exfalso; destruct (B i) as (? & ? & ?); auto. Qed.

Lemma upd_keeps (P : tid -> pc) p x' (Q : pc -> Prop) q :
  (Q (P p) -> Q x') -> Q (P q) -> Q (upd P p x' q).
Proof.
  intros H K. destruct (N.eq_dec q p) as [->|N]; [rewrite upd_same|rewrite upd_other]; auto.
Qed.

Lemma ginv_pc m P g p x' :
  ginv m P g -> (forall i, putter (P p) i -> putter x' i) /\ (forall i, getter (P p) i -> getter x' i) /\
    (forall i, sweeper (P p) i -> sweeper x' i) ->
  ginv m (upd P p x') g.
Proof.
  intros G (A & B & C). destruct G. constructor; auto.
  - intros i H. destruct (g_free0 i H) as [U V]. split; auto. intros L.
    apply upd_keeps with (Q := fun y => putter y i); auto.
  - intros i H. destruct (g_full0 i H) as (U & V & W). repeat split; auto. intros L.
    apply upd_keeps with (Q := fun y => getter y i); auto.
  - intros i H. destruct (g_void0 i H) as (U & V & W). repeat split; auto. intros L.
    apply upd_keeps with (Q := fun y => sweeper y i); auto.
Qed.

Lemma R_local s a p x' :
  R s a ->
  (forall i, putter (pcs s p) i -> putter x' i) /\ (forall i, getter (pcs s p) i -> getter x' i) /\
    (forall i, sweeper (pcs s p) i -> sweeper x' i) ->
  (forall g, ginv (memory s) (pcs s) g -> nitems a = content (memory s) g ->
     nclosed a = fst (push (memory s) : place) ->
     (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
     exists a', learns a a' p /\ tinv (memory s) g p x' (nstatus a' p)) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s; pcs := upd (pcs s) p x' |} a'.
Proof.
  intros (g & G & I & C & K) H F. destruct (F g G I C K) as (a' & (X & I' & C' & O) & K').
  exists a'. split; [exact X|]. exists g. cbn. split; [now apply ginv_pc|]. repeat split; try congruence.
  intros q. destruct (N.eq_dec q p) as [->|N].
  - now rewrite upd_same.
  - rewrite upd_other by auto. rewrite O by auto. apply K.
Qed.

(** What it takes to follow a step: of any thread, at any move. *)
Definition followed (k : move) : Prop :=
  forall s a p acc x', R s a -> tstep arith (memory s) (pcs s p) k = Some (acc, x') ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := apply acc (memory s); pcs := upd (pcs s) p x' |} a'.

Ltac step_cases E H :=
  match type of H with tstep _ _ ?x _ = _ => destruct x eqn:E end;
  try match type of E with
  | _ = PTurn _ _ ?k => destruct k
  | _ = CTurn _ _ ?k => destruct k
  | _ = PHold _ ?todo _ => destruct todo as [|[]]
  | _ = CHold _ ?k _ => destruct k
  end; cbn -[N.of_nat firstn elements Nat.ltb] in H; try discriminate H;
  unfold push_look, pop_look, push_ticket, pop_ticket in H; cbn -[N.of_nat firstn elements Nat.ltb] in H.
Ltac local E :=
  eapply R_local; [eassumption|apply bystander_keeps; rewrite E; cbn; unfold bystander; cbn; tauto|].
Ltac mine K p E := let Kp := fresh "Kp" in pose proof (K p) as Kp; rewrite E in Kp; cbn in Kp; split_all.

Lemma retickets s a p x cs :
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l -> asks (Push cs) = true /\ exists n, l = NCalled (Push cs) n) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s; pcs := upd (pcs s) p (PTurn cs (push (memory s)) 0) |} a'.
Proof.
  intros HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp. destruct (H _ _ _ Kp) as (A & l & El).
  destruct (reticket _ _ _ _ _ _ _ G I C El) as (a' & l' & L & El' & Tk).
  exists a'. split; [exact L|]. rewrite El'. cbn. split; [exact A|]. exists l'. easy_parts. split; [|split].
  - lia.
  - congruence.
  - intros i Hi. lia.
Qed.

Lemma PUSH_TICKET_followed j : followed (At PUSH_TICKET j).
Proof.
  intros s a p acc x' HR H. step_cases E H; inv H; cbn.
  all: eapply retickets; [eassumption|eassumption|intros i; cbn; tauto|].
  all: intros m g l Kp; cbn in Kp; split_all; eauto.
Qed.

(** A look at the slot of a push's ticket; a read of a pop's ticket, and a look. *)
Lemma push_looks s a p x cs t :
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l ->
     asks (Push cs) = true /\ exists n, l = NCalled (Push cs) n /\ ticketed m n t) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s;
         pcs := upd (pcs s) p (push_saw arith cs t (tu (memory s) (snd t))) |} a'.
Proof.
  intros HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp. destruct (H _ _ _ Kp) as (A & l & El & Tk).
  exists a. split; [apply learns_nothing|]. rewrite El. eapply push_saw_knows; eauto.
Qed.

Lemma repops s a p x n :
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l -> asks (Pop n) = true /\ exists k, l = NCalled (Pop n) k) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s; pcs := upd (pcs s) p (CTurn n (pop (memory s)) 0) |} a'.
Proof.
  intros HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp. destruct (H _ _ _ Kp) as (A & l & El).
  exists a. split; [apply learns_nothing|]. rewrite El. cbn. split; [exact A|]. exists l.
  split; [reflexivity|]. split; [apply (g_pop _ _ _ G)|]. split; [lia|]. split; [lia|].
  intros i Hi. lia.
Qed.

Lemma pop_looks s a p x n h :
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l -> asks (Pop n) = true /\
     exists k, l = NCalled (Pop n) k /\ fst (h : place) = false /\ snd h <= hp m) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s;
         pcs := upd (pcs s) p (pop_saw arith n h (tu (memory s) (snd h))) |} a'.
Proof.
  intros HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp.
  destruct (H _ _ _ Kp) as (A & l & El & F & L).
  exists a. split; [apply learns_nothing|]. rewrite El. eapply pop_saw_knows; eauto.
Qed.

Ltac at_slot H :=
  match type of H with context [?j =? ?i] => destruct (N.eqb_spec j i); [subst j|] end.
Ltac ticketing :=
  eapply retickets; [eassumption|eassumption|intros ?; cbn; tauto|];
  intros ? ? ? ?Kp; cbn in Kp; split_all; eauto.
Ltac repopping :=
  eapply repops; [eassumption|eassumption|intros ?; cbn; tauto|];
  intros ? ? ? ?Kp; cbn in Kp; split_all; eauto.

Lemma PUSH_TURN_followed j : followed (At PUSH_TURN j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  all: try (at_slot H; [inv H; cbn;
    eapply push_looks; [eassumption|eassumption|intros ?; cbn; tauto|];
    intros ? ? ? ?Kp; cbn in Kp; split_all; eauto|]); try discriminate H.
  (* one slot further *)
  match type of H with context [(?i =? ?l) && ?b] => destruct (N.eqb_spec i l), b eqn:B end;
    try discriminate H. cbn [andb] in H. inv H. cbn [apply].
  apply PeanoNat.Nat.ltb_lt in B.
  local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
  destruct (_ && _) eqn:D; cbn -[N.of_nat]; easy_parts; eexists; easy_parts.
  all: repeat match goal with |- _ /\ _ => split end; try lia; auto; try exact H4.
  intros i Hi.
  destruct (N.eq_dec i (snd t + N.of_nat (S k))) as [->|N]; [|apply H4; lia].
  apply (turn_eqb_spec _ ((false, snd t + N.of_nat (S k)), Free)) in D. rewrite D. cbn. lia.
Qed.

Lemma PUSH_FENCE_followed j : followed (At PUSH_FENCE j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  match type of H with context [?i =? ?l] => destruct (N.eqb_spec i l) end; inv H. cbn.
  local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
  rewrite H0. cbn. easy_parts. eexists. easy_parts. assumption.
Qed.

Lemma PUSH_POP_TICKET_followed j : followed (At PUSH_POP_TICKET j).
Proof.
  intros s a p acc x' HR H. step_cases E H. inv H. cbn.
  local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|]. rewrite H0.
  pose proof H1 as (T1 & _ & T3). pose proof (g_cap _ _ _ G).
  destruct (place_eqb _ _) eqn:D; [apply place_eqb_spec in D|apply place_eqb_no in D]; cbn; easy_parts;
    eexists; easy_parts.
  - split; [apply (g_pop _ _ _ G)|]. rewrite <- D. cbn. split; [reflexivity|].
    destruct (T3 H2) as [|L]; auto. rewrite <- D in L. cbn in L. lia.
  - destruct (N.eq_dec (snd t) (hp (memory s) + c)) as [F|F]; [|lia].
    exfalso. apply D. destruct t; cbn in *. congruence.
Qed.

(** Whoever holds a slot is between its effect and its return. *)
Lemma putter_status m g q x l i : tinv m g q x l -> putter x i -> exists n, l = NDone (Pushed n).
Proof. destruct x; cbn; try tauto; intros; split_all; subst; eauto. Qed.
Lemma getter_status m g q x l i : tinv m g q x l -> getter x i -> exists vs, l = NDone (Popped vs).
Proof. destruct x; cbn; try tauto; intros; split_all; subst; eauto. Qed.
Lemma sweeper_status m g q x l i : tinv m g q x l -> sweeper x i -> exists o, l = NSweeping o.
Proof. destruct x; cbn; try tauto; intros; split_all; subst; eauto. Qed.

Lemma push_busy s a p g x :
  ginv (memory s) (pcs s) g -> (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
  bystander (pcs s p) -> fst (push (memory s) : place) = nclosed a -> nclosed a = false ->
  pos (tu (memory s) x) + c = x -> x < hp (memory s) + c ->
  taking_out (status (view a)) p.
Proof.
  intros G K B C F L M. set (m := memory s) in *. set (i := pos (tu m x)) in *.
  assert (x mod c = i mod c) as S by (rewrite <- L; apply slot_lap).
  assert (pos (tu m i) = i) as E by (rewrite <- S; reflexivity).
  destruct (at_pos _ _ _ G i E) as [ph D]. destruct ph.
  - destruct (g_free _ _ _ G i D). lia.
  - destruct (g_full _ _ _ G i D) as (_ & _ & H). specialize (H ltac:(lia)).
    exists (taker g i). split; [intros N; rewrite N in H; destruct (B i) as (? & ? & ?); auto|]. left. cbn.
    destruct (getter_status _ _ _ _ _ _ (K _) H) as [vs ->]. cbn. eauto.
  - destruct (g_void _ _ _ G i D) as (_ & _ & H). specialize (H ltac:(lia)).
    exists (taker g i). split; [intros N; rewrite N in H; destruct (B i) as (? & ? & ?); auto|]. right. cbn.
    destruct (sweeper_status _ _ _ _ _ _ (K _) H) as [vs ->]. cbn. eauto.
Qed.

Lemma push_rechecks s a p x cs (t : tick arith) :
  let y := tu (memory s) (snd t) in
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l -> asks (Push cs) = true /\ exists n, l = NCalled (Push cs) n /\
     ticketed m n t /\ fst t = false /\ pos y + c = snd t /\ snd t < hp m + c) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s; pcs := upd (pcs s) p (PStill cs t y) |} a'.
Proof.
  intros y HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp.
  destruct (H _ _ _ Kp) as (A & l & El & Tk & F & L & M).
  destruct (fst (push (memory s) : place)) eqn:D.
  - exists a. split; [apply learns_nothing|]. rewrite El. cbn. split; [exact A|]. exists l.
    easy_parts. now left.
  - destruct (note a p _ _ Busy El eq_refl) as (a' & La & Ea).
    { rewrite C. apply e_push_busy; [exact C|].
      eapply push_busy with (x := snd t); eauto; first [congruence|now rewrite E]. }
    exists a'. split; [exact La|]. rewrite Ea. cbn. split; [exact A|]. eexists. split; [reflexivity|].
    split.
    + destruct Tk as (? & ? & U). split; [assumption|]. split; [right; auto|].
      intros V. destruct (U V); cbn; auto.
    + easy_parts. right. now left.
Qed.

Lemma PUSH_RECHECK_followed j : followed (At PUSH_RECHECK j).
Proof.
  intros s a p acc x' HR H. step_cases E H; at_slot H; try discriminate H; inv H; cbn;
    (match goal with |- context [if ?b then _ else _] => destruct b eqn:D end;
     [apply (turn_eqb_spec _ _) in D; subst|
      local E; intros g G I C K; mine K p E; exists a; split; [apply learns_nothing|]; cbn; eauto]).
  all: eapply push_rechecks; [eassumption|eassumption|intros ?; cbn; tauto|].
  all: intros ? ? ? Kp; cbn in Kp; split_all; eauto 10.
Qed.

Lemma PUSH_RETRY_followed j : followed (At PUSH_RETRY j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  - match type of H with context [?i =? ?l] => destruct (N.eqb_spec i l) end; inv H. cbn.
    destruct (place_eqb _ _) eqn:D; [apply place_eqb_spec in D|ticketing].
    local E. intros g G I C K. mine K p E. exfalso.
    match goal with U : _ -> snd t < _ |- _ => specialize (U n); rewrite D in U; lia end.
  - inv H. cbn. destruct (place_eqb _ _) eqn:D; [apply place_eqb_spec in D|ticketing].
    local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
    cbn. right. do 2 eexists. split; [eassumption|].
    match goal with U : _ \/ In Busy _ |- _ => destruct U as [U|U]; auto end. congruence.
  - inv H. cbn. ticketing.
Qed.

(** * The pop's steps that change no word *)

Lemma POP_TICKET_followed j : followed (At POP_TICKET j).
Proof. intros s a p acc x' HR H. step_cases E H; inv H; cbn; repopping. Qed.

Lemma POP_TURN_followed j : followed (At POP_TURN j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  all: try (at_slot H; [inv H; cbn;
    eapply pop_looks; [eassumption|eassumption|intros ?; cbn; tauto|];
    intros ? ? ? ?Kp; cbn in Kp; split_all; eauto 10|]); try discriminate H.
  - (* clear_void *)
    at_slot H; [|discriminate H]. inv H. cbn.
    local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
    destruct (_ && phase_eqb _ Void) eqn:D;
      [|match goal with |- context [if ?b then Fin Full else _] => destruct b end]; cbn.
    + apply (turn_eqb_spec _ (h, Void)) in D. easy_parts. eexists. easy_parts.
      left. rewrite D. destruct h; cbn in *; congruence.
    + right. eauto.
    + easy_parts. eexists. easy_parts.
      repeat match goal with |- _ /\ _ => split end; try lia; auto; intros i Hi; lia.
  - (* one slot further *)
    match type of H with context [(?i =? ?l) && ?b] => destruct (N.eqb_spec i l), b eqn:B end;
      try discriminate H. cbn [andb] in H. inv H. cbn [apply].
    apply PeanoNat.Nat.ltb_lt in B.
    local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
    destruct (_ && _) eqn:D; cbn; easy_parts; eexists; easy_parts.
    all: repeat match goal with |- _ /\ _ => split end; try lia; auto.
    intros i Hi.
    destruct (N.eq_dec i (snd h + N.of_nat (S k))) as [->|N];
      [|match goal with U : forall i, _ -> past _ _ _ |- _ => apply U; lia end].
    apply (turn_eqb_spec _ ((false, snd h + N.of_nat (S k)), Filled)) in D. now left.
Qed.

Lemma POP_FENCE_followed j : followed (At POP_FENCE j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  match type of H with context [if ?b then _ else _] => destruct b eqn:D end; inv H. cbn.
  local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
  match goal with L : nstatus a p = _ |- _ => rewrite L end. cbn. easy_parts. eexists. easy_parts.
  apply orb_true_iff in D. destruct D as [D|D].
  - left. apply (turn_eqb_spec x (h, Free)) in D. rewrite D. destruct h; cbn in *; congruence.
  - right. now apply N.eqb_eq in D.
Qed.

Lemma POP_PUSH_TICKET_followed j : followed (At POP_PUSH_TICKET j).
Proof.
  intros s a p acc x' HR H. step_cases E H. inv H. cbn.
  local E. intros g G I C K. mine K p E. pose proof (g_ord _ _ _ G) as O.
  destruct (place_eqb _ _) eqn:D; [apply place_eqb_spec in D|apply place_eqb_no in D].
  - (* nothing was claimed beyond this ticket: nothing is inside *)
    assert (content (memory s) g = []) as Z.
    { unfold content. rewrite <- D in *. cbn in *.
      replace (tp (memory s) - hp (memory s)) with 0 by lia. reflexivity. }
    match goal with L : nstatus a p = NCalled ?o ?l |- _ =>
      destruct (note a p o l (if fst (push (memory s) : place) then Closed else Empty) L)
        as (a' & La & Ea) end.
    + now destruct (fst (push (memory s))).
    + rewrite C, I, Z. destruct (fst (push (memory s) : place)) eqn:F;
        [apply e_pop_closed|apply e_empty]; cbn; congruence.
    + exists a'. split; [exact La|]. rewrite Ea. cbn. right. do 2 eexists. split; [reflexivity|]. now left.
  - exists a. split; [apply learns_nothing|]. cbn. easy_parts. eexists. easy_parts.
    destruct (N.eq_dec (snd h) (tp (memory s))) as [F|F]; [|lia].
    exfalso. apply D. destruct h; cbn in *. congruence.
Qed.

Lemma pop_busy s a p g (x : turn arith) h :
  ginv (memory s) (pcs s) g -> (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
  bystander (pcs s p) -> h < tp (memory s) -> tu (memory s) h = x ->
  x = T h Free \/ pos x + c = h ->
  putting_in (status (view a)) p.
Proof.
  intros G K B L Ex [E|E].
  - subst x. destruct (g_free _ _ _ G h E) as [_ H]. specialize (H L).
    exists (who g h). split; [intros N; rewrite N in H; destruct (B h) as (? & ? & ?); auto|]. cbn.
    destruct (putter_status _ _ _ _ _ _ (K _) H) as [n ->]. cbn. eauto.
  - pose proof (g_hi _ _ _ G h) as H. rewrite Ex in H. lia.
Qed.

Lemma pop_rechecks s a p x n (h : tick arith) :
  let y := tu (memory s) (snd h) in
  R s a -> pcs s p = x -> bystander x ->
  (forall m g l, tinv m g p x l -> asks (Pop n) = true /\ exists k, l = NCalled (Pop n) k /\
     fst h = false /\ snd h <= hp m /\ (y = T (snd h) Free \/ pos y + c = snd h) /\ snd h < tp m) ->
  exists a', exec (noting_queue c) a [] a' /\
    R {| memory := memory s; pcs := upd (pcs s) p (CStill n h y) |} a'.
Proof.
  intros y HR E B H. eapply R_local; [eassumption|rewrite E; now apply bystander_keeps|].
  intros g G I C K. pose proof (K p) as Kp. rewrite E in Kp.
  destruct (H _ _ _ Kp) as (A & l & El & F & L & D & M).
  destruct (note a p _ _ Busy El eq_refl) as (a' & La & Ea).
  { apply (e_pop_busy c (view a)).
    eapply pop_busy; eauto. now rewrite E. }
  exists a'. split; [exact La|]. rewrite Ea. cbn. split; [exact A|]. eexists. split; [reflexivity|].
  easy_parts. now left.
Qed.

Lemma POP_RECHECK_followed j : followed (At POP_RECHECK j).
Proof.
  intros s a p acc x' HR H. step_cases E H; at_slot H; try discriminate H; inv H; cbn;
    (match goal with |- context [if ?b then _ else _] => destruct b eqn:D end;
     [apply (turn_eqb_spec _ _) in D; subst|
      local E; intros g G I C K; mine K p E; exists a; split; [apply learns_nothing|]; cbn; eauto]).
  all: eapply pop_rechecks; [eassumption|eassumption|intros ?; cbn; tauto|].
  all: intros ? ? ? Kp; cbn in Kp; split_all; eauto 10.
Qed.

Lemma POP_RETRY_followed j : followed (At POP_RETRY j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  - match type of H with context [if ?b then _ else _] => destruct b eqn:D' end; [discriminate H|].
    inv H. cbn.
    destruct (place_eqb (pop (memory s)) h) eqn:D2; [apply place_eqb_spec in D2|repopping].
    local E. intros g G I C K. mine K p E. exfalso.
    apply orb_false_iff in D'. destruct D' as [D' D4]. apply orb_false_iff in D'. destruct D' as [D D3].
    apply (turn_eqb_no x (h, Void)) in D. apply (turn_eqb_no x (h, Free)) in D3. apply N.eqb_neq in D4.
    assert (snd h < hp (memory s)) as L.
    { destruct h as [b i]. cbn in *. match goal with F : b = false |- _ => subst b end.
      match goal with U : _ -> _ -> _ -> i < _ |- _ => exact (U D D3 D4) end. }
    rewrite D2 in L. exact (N.lt_irrefl _ L).
  - inv H. cbn. destruct (place_eqb _ _) eqn:D; [apply place_eqb_spec in D|repopping].
    local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|].
    cbn. right. do 2 eexists. split; eassumption.
  - inv H. cbn. repopping.
Qed.

Lemma LOOK_followed k j : k = LOOK_PUSH \/ k = LOOK_POP \/ k = LOOK_TURN -> followed (At k j).
Proof.
  intros HK s a p acc x' HR H.
  assert (apply acc (memory s) = memory s /\ x' = pcs s p) as [-> ->].
  { destruct HK as [->|[->| ->]]; cbn in H; destruct (idle _ _); inv H; auto. }
  eapply R_local; [exact HR|auto|]. intros g G I C K. exists a. split; [apply learns_nothing|apply K].
Qed.

(** * Steps that change a word *)

Lemma R_make s a p g m' g' x' a' :
  ginv (memory s) (pcs s) g -> (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
  exec (noting_queue c) a [] a' -> ginv m' (upd (pcs s) p x') g' ->
  nitems a' = content m' g' -> nclosed a' = fst (push m' : place) ->
  (forall q, q <> p -> env q (memory s) g m' g') ->
  (forall q, q <> p -> nstatus a' q = nstatus a q) ->
  tinv m' g' p x' (nstatus a' p) ->
  exists a', exec (noting_queue c) a [] a' /\ R {| memory := m'; pcs := upd (pcs s) p x' |} a'.
Proof.
  intros G K X G' I C E O K'. exists a'. split; [exact X|]. exists g'. cbn.
  split; [exact G'|]. split; [exact I|]. split; [exact C|].
  intros q. destruct (N.eq_dec q p) as [->|N]; [now rewrite upd_same|].
  rewrite upd_other, O by auto. eapply tinv_env; eauto. apply (g_ord _ _ _ G).
Qed.

Lemma content_push (m : mem) (g : ghost) t (l : list cell) (p : tid) :
  fst (push m : place) = false -> hp m <= tp m -> t = tp m ->
  content {| push := ((false, t + len l) : tick arith); pop := pop m; turns := turns m;
             payloads := payloads m |}
    {| what := fill (what g) t l; who := stamp (who g) t (length l) p; taker := taker g |}
  = content m g ++ l.
Proof.
  intros F O ->. unfold content, len. cbn.
  replace (N.to_nat (tp m + N.of_nat (length l) - hp m))
    with (N.to_nat (tp m - hp m) + length l)%nat by lia.
  rewrite range_app, map_app. f_equal.
  - apply map_ext_in. intros i Hi. apply in_range in Hi. apply fill_before. lia.
  - replace (hp m + N.of_nat (N.to_nat (tp m - hp m))) with (tp m) by lia. apply map_fill.
Qed.

Lemma push_moves (m : mem) P (g : ghost) p x' (l : list cell) :
  ginv m P g -> fst (push m : place) = false -> bystander (P p) ->
  (forall i, tp m <= i < tp m + len l -> i <= pos (tu m i) /\ putter x' i) ->
  let m' := {| push := ((false, tp m + len l) : tick arith); pop := pop m; turns := turns m;
               payloads := payloads m |} in
  let g' := {| what := fill (what g) (tp m) l; who := stamp (who g) (tp m) (length l) p;
               taker := taker g |} in
  ginv m' (upd P p x') g' /\ (forall q, q <> p -> env q m g m' g').
Proof.
  intros G F B L m' g'. pose proof (g_ord _ _ _ G) as O. unfold len in *. split.
  - constructor; cbn.
    + apply (g_pop _ _ _ G).
    + lia.
    + destruct (length l) as [|k] eqn:E; [pose proof (g_cap _ _ _ G); lia|].
      destruct (L (tp m + N.of_nat k)) as [U _]; [lia|].
      pose proof (free_now _ _ _ G (tp m + N.of_nat k) ltac:(lia) U). lia.
    + apply (g_own _ _ _ G).
    + apply (g_lo _ _ _ G).
    + intros i H. pose proof (g_hi _ _ _ G i H) as J.
      destruct (N.lt_ge_cases i (tp m + N.of_nat (length l))) as [M|M]; [|exact M].
      destruct (L i ltac:(lia)). lia.
    + intros i H. destruct (g_free _ _ _ G i H) as [U V]. split; [exact U|]. intros W.
      destruct (N.lt_ge_cases i (tp m)) as [M|M].
      * rewrite stamp_out by lia. apply upd_keeps with (Q := fun y => putter y i); auto.
        intros Z. now destruct (B i).
      * rewrite stamp_in by lia. rewrite upd_same. now apply L.
    + intros i H. destruct (g_full _ _ _ G i H) as (U & V & W). split; [lia|].
      rewrite fill_before by lia. split; [exact V|]. intros Z.
      apply upd_keeps with (Q := fun y => getter y i); auto. intros Y. now destruct (B i) as (? & ? & ?).
    + intros i H. destruct (g_void _ _ _ G i H) as (U & V & W). split; [lia|].
      rewrite fill_before by lia. split; [exact V|]. intros Z.
      apply upd_keeps with (Q := fun y => sweeper y i); auto. intros Y. now destruct (B i) as (? & ? & ?).
  - intros q N. constructor; cbn.
    + lia.
    + lia.
    + congruence.
    + intros; lia.
    + auto.
    + intros i U V W. rewrite fill_before, stamp_out by lia. auto.
    + intros i ph U V W X Y. rewrite fill_before by lia. auto.
Qed.

Lemma PUSH_CLAIM_followed j : followed (At PUSH_CLAIM j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  destruct (place_eqb (push (memory s)) t) eqn:D; inv H; cbn -[firstn elements]; [|ticketing].
  apply place_eqb_spec in D.
  destruct HR as (g & G & I & C & K). mine K p E.
  match goal with U : S k <> O -> _ |- _ => specialize (U ltac:(discriminate)); rename U into F end.
  assert (length (firstn (S k) cs) = S k) as Len by (apply firstn_length_le; assumption).
  remember (firstn (S k) cs) as l eqn:El.
  assert (fst (push (memory s) : place) = false) as F' by (rewrite D; exact F).
  assert (tp (memory s) = snd t) as Et by (now rewrite D).
  destruct (push_moves (memory s) (pcs s) g p (PHold t l (elements l)) l G F') as [G' O].
  { rewrite E. intros i. cbn. tauto. }
  { unfold len. rewrite Len, Et. intros i Hi. split; [auto|].
    change (snd t <= i < snd t + N.of_nat (length l)). rewrite Len. lia. }
  unfold len in G', O. rewrite Len, Et in G', O.
  pose proof (free_now _ _ _ G (tp (memory s) + N.of_nat k)) as Cap. specialize (Cap ltac:(lia)).
  match goal with U : forall i, _ -> i <= pos _ |- _ =>
    specialize (Cap ltac:(apply U; rewrite Et; lia)) end.
  eapply R_make with (a' := {| nitems := nitems a ++ l; nclosed := false;
    nstatus := upd (nstatus a) p (NDone (Pushed (elements l))) |});
    [exact G|exact K| |exact G'| | |exact O| |].
  - eapply exec_tau; [|constructor]. eapply n_effect; [eassumption|].
    rewrite El. apply (e_pushed c (view a) p cs (S k)); cbn -[firstn].
    + congruence.
    + lia.
    + rewrite I, content_length. pose proof (g_ord _ _ _ G). lia.
  - cbn [nitems]. rewrite I. symmetry.
    pose proof (content_push (memory s) g (tp (memory s)) l p F' (g_ord _ _ _ G) eq_refl) as Z.
    unfold len in Z. rewrite Len, Et in Z. exact Z.
  - reflexivity.
  - intros q N. cbn. now apply upd_other.
  - cbn [nstatus]. rewrite upd_same. cbn. split; [reflexivity|]. split; [exact F|].
    intros i y U. cbn. assert (i < S k)%nat as V by (rewrite <- Len; apply nth_error_Some; congruence).
    split; [now apply fill_at|]. split; [apply stamp_in; lia|]. split; [|lia].
    apply (free_now _ _ _ G); [lia|].
    match goal with U : forall i, _ -> i <= pos _ |- _ => apply U; lia end.
Qed.

Lemma pop_moves (m : mem) P (g : ghost) p k x' :
  ginv m P g -> bystander (P p) ->
  (forall i, hp m <= i < hp m + N.of_nat k ->
    (tu m i = T i Filled /\ getter x' i) \/ (tu m i = T i Void /\ sweeper x' i)) ->
  let m' := {| push := push m; pop := ((false, hp m + N.of_nat k) : tick arith); turns := turns m;
               payloads := payloads m |} in
  let g' := {| what := what g; who := who g; taker := stamp (taker g) (hp m) k p |} in
  ginv m' (upd P p x') g' /\ (forall q, q <> p -> env q m g m' g').
Proof.
  intros G B L m' g'. pose proof (g_ord _ _ _ G) as O. split.
  - constructor; cbn.
    + reflexivity.
    + destruct k as [|k]; [lia|]. destruct (L (hp m + N.of_nat k)) as [[U _]|[U _]]; [lia| |].
      * destruct (g_full _ _ _ G _ U). lia.
      * destruct (g_void _ _ _ G _ U). lia.
    + pose proof (g_cap _ _ _ G). lia.
    + apply (g_own _ _ _ G).
    + intros i H. pose proof (g_lo _ _ _ G i H). lia.
    + apply (g_hi _ _ _ G).
    + intros i H. destruct (g_free _ _ _ G i H) as [U V]. split.
      * destruct (N.lt_ge_cases i (hp m + N.of_nat k)) as [M|M]; auto.
        destruct (L i ltac:(lia)) as [[Z _]|[Z _]]; congruence.
      * intros W. apply upd_keeps with (Q := fun y => putter y i); auto. intros Z. now destruct (B i).
    + intros i H. destruct (g_full _ _ _ G i H) as (U & V & W). split; [exact U|]. split; [exact V|].
      intros Z. destruct (N.lt_ge_cases i (hp m)) as [M|M].
      * rewrite stamp_out by lia. apply upd_keeps with (Q := fun y => getter y i); auto.
        intros Y. now destruct (B i) as (? & ? & ?).
      * rewrite stamp_in by lia. rewrite upd_same. destruct (L i ltac:(lia)) as [[_ Y]|[Y _]]; congruence.
    + intros i H. destruct (g_void _ _ _ G i H) as (U & V & W). split; [exact U|]. split; [exact V|].
      intros Z. destruct (N.lt_ge_cases i (hp m)) as [M|M].
      * rewrite stamp_out by lia. apply upd_keeps with (Q := fun y => sweeper y i); auto.
        intros Y. now destruct (B i) as (? & ? & ?).
      * rewrite stamp_in by lia. rewrite upd_same. destruct (L i ltac:(lia)) as [[Y _]|[_ Y]]; congruence.
  - intros q N. constructor; cbn.
    + lia.
    + lia.
    + auto.
    + intros; lia.
    + auto.
    + auto.
    + intros i ph U V W X Y. rewrite stamp_out by lia. auto.
Qed.

Lemma content_pop (m : mem) (g : ghost) k (g' : ghost) :
  what g' = what g -> hp m + N.of_nat k <= tp m ->
  content m g = map (what g) (range (hp m) k) ++
    content {| push := push m; pop := ((false, hp m + N.of_nat k) : tick arith); turns := turns m;
               payloads := payloads m |} g'.
Proof.
  intros E L. unfold content. cbn. rewrite E.
  replace (N.to_nat (tp m - hp m)) with (k + N.to_nat (tp m - (hp m + N.of_nat k)))%nat by lia.
  now rewrite range_app, map_app.
Qed.

(** Clearing a void away: by a push or by a pop. *)
Lemma sweeps s a p (g : ghost) o l x' (h : tick arith) :
  ginv (memory s) (pcs s) g -> nitems a = content (memory s) g ->
  nclosed a = fst (push (memory s) : place) ->
  (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
  bystander (pcs s p) -> nstatus a p = NCalled o l ->
  pop (memory s) = h -> fst (h : place) = false -> past (memory s) (snd h) Void ->
  (forall i, snd h = i -> sweeper x' i) ->
  let m' := {| push := push (memory s); pop := ((false, snd h + 1) : tick arith);
               turns := turns (memory s); payloads := payloads (memory s) |} in
  (forall g', clears m' g' p h -> tinv m' g' p x' (NSweeping o)) ->
  exists a', exec (noting_queue c) a [] a' /\ R {| memory := m'; pcs := upd (pcs s) p x' |} a'.
Proof.
  intros G I C K B El Eh Fh Ps Sw m' Kn.
  assert (tu (memory s) (snd h) = T (snd h) Void) as Ev.
  { eapply ready_now; eauto. rewrite Eh. lia. }
  destruct (g_void _ _ _ G _ Ev) as (Lt & Wh & _).
  destruct (pop_moves (memory s) (pcs s) g p 1 x' G B) as [G' O].
  { intros i Hi. rewrite Eh in Hi. replace i with (snd h) by lia. right. auto. }
  rewrite Eh in G', O. change (N.of_nat 1) with 1 in G', O.
  eapply R_make with (a' := {| nitems := content m' g; nclosed := nclosed a;
    nstatus := upd (nstatus a) p (NSweeping o) |}); [exact G|exact K| |exact G'| | |exact O| |].
  - eapply exec_tau; [|constructor]. eapply n_sweep; [eassumption|].
    rewrite I. rewrite (content_pop _ g 1 g) by (auto; rewrite Eh; lia).
    rewrite Eh. cbn. now rewrite Wh.
  - reflexivity.
  - exact C.
  - intros q N. cbn. now apply upd_other.
  - cbn [nstatus]. rewrite upd_same. apply Kn. split; [exact Fh|]. split; [cbn; lia|].
    split; [exact Ev|]. cbn. apply stamp_in. lia.
Qed.

Lemma POP_CLAIM_followed j : followed (At POP_CLAIM j).
Proof.
  intros s a p acc x' HR H. step_cases E H.
  - (* a push clears *)
    destruct (place_eqb (pop (memory s)) h) eqn:D; inv H; cbn.
    + apply place_eqb_spec in D. destruct HR as (g & G & I & C & K). mine K p E.
      eapply sweeps; eauto; [rewrite E; intros ?; cbn; tauto|]. intros g' Cl. cbn. easy_parts.
      split; [match goal with U : ticketed _ _ _ |- _ => apply U end|]. easy_parts. exact Cl.
    + local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|]. cbn.
      easy_parts. eexists. easy_parts. repeat match goal with |- _ /\ _ => split end; try lia; auto;
      intros i Hi; lia.
  - (* a pop takes a run *)
    destruct (place_eqb (pop (memory s)) h) eqn:D; inv H; cbn; [|repopping].
    apply place_eqb_spec in D. destruct HR as (g & G & I & C & K). mine K p E.
    match goal with U : forall i, _ -> past _ _ _ |- _ => rename U into Ps end.
    match goal with U : fst h = false |- _ => rename U into Fh end.
    assert (forall i, snd h <= i < snd h + N.of_nat (S k) -> tu (memory s) i = T i Filled) as Ev.
    { intros i Hi. eapply ready_now; eauto. rewrite D. lia. }
    set (vs := map (fun i => payloads (memory s) (i mod c)) (range (snd h) (S k))).
    assert (length vs = S k) as Len by (unfold vs; now rewrite map_length, range_length).
    assert (map (what g) (range (snd h) (S k)) = map Some vs) as Eq.
    { unfold vs. rewrite map_map. apply map_ext_in. intros i Hi. apply in_range in Hi.
      now destruct (g_full _ _ _ G i (Ev i Hi)) as (_ & ? & _). }
    destruct (pop_moves (memory s) (pcs s) g p (S k) (CHold h (S k) []) G) as [G' O].
    { rewrite E. intros i. cbn. tauto. }
    { rewrite D. intros i Hi. left. split; [auto|exact Hi]. }
    rewrite D in G', O.
    destruct (g_full _ _ _ G _ (Ev (snd h + N.of_nat k) ltac:(lia))) as [Lt _].
    eapply R_make with (a' := {| nitems := content {| push := push (memory s);
        pop := ((false, snd h + N.of_nat (S k)) : tick arith); turns := turns (memory s);
        payloads := payloads (memory s) |} g; nclosed := nclosed a;
      nstatus := upd (nstatus a) p (NDone (Popped vs)) |});
      [exact G|exact K| |exact G'| | |exact O| |].
    + eapply exec_tau; [|constructor]. eapply n_effect; [eassumption|].
      apply (e_popped c (view a)); [|rewrite Len; split; [lia|assumption]].
      cbn [items view]. rewrite I. rewrite (content_pop _ g (S k) g) by (auto; rewrite D; lia).
      rewrite D. now rewrite Eq.
    + reflexivity.
    + exact C.
    + intros q N. cbn. now apply upd_other.
    + cbn [nstatus]. rewrite upd_same. cbn. exists vs. split; [reflexivity|]. split; [exact Len|].
      split; [exact Fh|]. intros i v U. cbn.
      assert (i < S k)%nat as V by (rewrite <- Len; apply nth_error_Some; congruence).
      unfold vs in U. rewrite nth_error_map in U.
      destruct (nth_error (range _ _) i) as [y|] eqn:Y; [|discriminate U].
      cbn in U. injection U as <-.
      apply nth_range in Y. destruct Y as [-> _].
      pose proof (Ev (snd h + N.of_nat i) ltac:(lia)) as Z.
      destruct (g_full _ _ _ G _ Z) as (_ & Wh & _).
      split; [exact Wh|]. split; [apply stamp_in; lia|]. split; [exact Z|lia].
  - (* a pop clears *)
    match type of H with context [if ?b then _ else _] => destruct b eqn:D0 end; [|discriminate H].
    destruct (place_eqb (pop (memory s)) h) eqn:D; inv H; cbn.
    + apply place_eqb_spec in D. apply (turn_eqb_spec x (h, Void)) in D0.
      destruct HR as (g & G & I & C & K). mine K p E.
      eapply sweeps; eauto; [rewrite E; intros ?; cbn; tauto| |].
      * match goal with U : _ -> past _ _ _ |- _ => apply U end.
        rewrite D0. destruct h; cbn in *; congruence.
      * intros g' Cl. cbn. auto.
    + local E. intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|]. cbn. eauto.
Qed.

Lemma putter_holding (t : tick arith) todo n i :
  putter (holding arith t todo n) i <-> snd t <= i < snd t + len todo.
Proof. unfold holding, len. destruct todo; cbn; [lia|]. reflexivity. Qed.

Lemma getter_taking (h : tick arith) k got i :
  getter (taking arith h k got) i <-> snd h <= i < snd h + N.of_nat k.
Proof. unfold taking. destruct k; cbn; [lia|]. reflexivity. Qed.

Lemma tinv_holding m g p t todo n :
  fills m g p t todo -> tinv m g p (holding arith t todo n) (NDone (Pushed n)).
Proof. intros F. destruct todo; cbn; auto. Qed.

Lemma tinv_taking m g p h rest got k :
  length rest = k -> empties m g p h rest ->
  tinv m g p (taking arith h k got) (NDone (Popped (got ++ rest))).
Proof.
  intros L F. destruct k; cbn; [|eauto]. destruct rest; [|discriminate L].
  rewrite app_nil_r. now left.
Qed.

Section PassOn.
Variables (m : mem) (P : tid -> pc) (g : ghost) (p : tid) (x' : pc).
Hypothesis G : ginv m P g.

(** A claimed slot is published, or passed on as void. *)
Lemma passes_on t y todo ph :
  fills m g p t (y :: todo) ->
  (forall i, i <> snd t -> putter (P p) i -> putter x' i) ->
  (forall i, ~ getter (P p) i) -> (forall i, ~ sweeper (P p) i) ->
  (ph = Filled /\ y = Some (payloads m (snd t mod c))) \/ (ph = Void /\ y = None) ->
  let m' := {| push := push m; pop := pop m;
               turns := upd (turns m) (snd t mod c) (T (snd t) ph : turn arith);
               payloads := payloads m |} in
  ginv m' (upd P p x') g /\ (forall q, q <> p -> env q m g m' g) /\
  fills m' g p (false, snd t + 1) todo.
Proof.
  intros F Put Get Swp Ph m'. pose proof (proj2 F O _ eq_refl) as (Wh & Wo & Tu & Lt). cbn in *.
  rewrite N.add_0_r in *. set (t' := snd t) in *.
  destruct (g_free _ _ _ G _ Tu) as [Hp _].
  assert (ph <> Free) as NF by (destruct Ph as [[-> _]|[-> _]]; discriminate).
  assert (forall i, (i mod c = t' mod c /\ tu m' i = T t' ph /\ tu m i = T t' Free) \/
                    (i mod c <> t' mod c /\ tu m' i = tu m i)) as At.
  { intros i. cbn. destruct (N.eq_dec (i mod c) (t' mod c)) as [E|N].
    - left. rewrite E, upd_same. auto.
    - right. rewrite upd_other by auto. auto. }
  assert (forall i, pos (tu m' i) = pos (tu m i)) as Ps.
  { intros i. destruct (At i) as [(_ & -> & ->)|(_ & ->)]; reflexivity. }
  split; [|split].
  - constructor; try (cbn; apply G).
    + intros j L. cbn. destruct (N.eq_dec j (t' mod c)) as [->|N].
      * rewrite upd_same. cbn. auto.
      * rewrite upd_other by auto. now apply (g_own _ _ _ G).
    + intros i. rewrite Ps. apply (g_lo _ _ _ G).
    + intros i. rewrite Ps. apply (g_hi _ _ _ G).
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H.
      { inversion H. congruence. }
      destruct (g_free _ _ _ G i H) as [U V]. split; [exact U|]. intros W.
      apply upd_keeps with (Q := fun y => putter y i); auto. apply Put. congruence.
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H.
      { inversion H. subst i. destruct Ph as [[_ Ph]|[Ph _]]; [|congruence].
        cbn. split; [exact Lt|]. split; [congruence|]. intros; lia. }
      destruct (g_full _ _ _ G i H) as (U & V & W). cbn. repeat split; auto. intros Z.
      apply upd_keeps with (Q := fun y => getter y i); auto. intros Y. now destruct (Get i).
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H.
      { inversion H. subst i. destruct Ph as [[Ph _]|[_ Ph]]; [congruence|].
        cbn. split; [exact Lt|]. split; [congruence|]. intros; lia. }
      destruct (g_void _ _ _ G i H) as (U & V & W). cbn. repeat split; auto. intros Z.
      apply upd_keeps with (Q := fun y => sweeper y i); auto. intros Y. now destruct (Swp i).
  - intros q Nq. constructor; try (cbn; auto; lia).
    + intros i. rewrite Ps. lia.
    + intros i ph' Nf [H|H]; [|right; now rewrite Ps].
      destruct (At i) as [(_ & _ & E)|(_ & E)]; [|left; congruence].
      rewrite E in H. inversion H. congruence.
    + intros i U V W. destruct (At i) as [(_ & _ & E)|(_ & E)]; [|rewrite E; auto].
      rewrite E in W. inversion W. congruence.
    + intros i ph' U V W X Y. destruct (At i) as [(_ & _ & E)|(_ & E)]; [|rewrite E; auto].
      rewrite E in W. inversion W. congruence.
  - split; [reflexivity|]. intros k z Hk. cbn.
    pose proof (proj2 F (S k) z Hk) as (U & V & W & X). cbn in U, V, W, X. fold t' in U, V, W, X.
    replace (t' + N.of_nat (S k)) with (t' + 1 + N.of_nat k) in * by lia.
    destruct (At (t' + 1 + N.of_nat k)) as [(_ & _ & E)|(_ & E)]; [|cbn in E; rewrite E; auto].
    rewrite E in W. inversion W. lia.
Qed.

(** A slot that was emptied goes to the push of the next lap. *)
Lemma recycles h ph :
  taker g h = p -> h < hp m -> tu m h = T h ph -> ph <> Free ->
  (forall i, i <> h -> getter (P p) i -> getter x' i) ->
  (forall i, i <> h -> sweeper (P p) i -> sweeper x' i) ->
  (forall i, ~ putter (P p) i) ->
  let m' := {| push := push m; pop := pop m;
               turns := upd (turns m) (h mod c) (T (h + c) Free : turn arith);
               payloads := payloads m |} in
  ginv m' (upd P p x') g /\ (forall q, q <> p -> env q m g m' g) /\
  (forall i, i mod c <> h mod c -> tu m' i = tu m i).
Proof.
  intros Tk Lt Tu NF Get Swp Put m'.
  assert (forall i, (i mod c = h mod c /\ tu m' i = T (h + c) Free /\ tu m i = T h ph) \/
                    (i mod c <> h mod c /\ tu m' i = tu m i)) as At.
  { intros i. cbn. destruct (N.eq_dec (i mod c) (h mod c)) as [E|N].
    - left. rewrite E, upd_same. auto.
    - right. rewrite upd_other by auto. auto. }
  assert (tp m <= h + c) as Top.
  { pose proof (g_hi _ _ _ G (h + c)) as H. rewrite slot_lap, Tu in H. cbn in H. apply H. lia. }
  pose proof (g_ord _ _ _ G) as O.
  assert (forall i, i mod c = h mod c -> i < h + c -> i <= h) as Low.
  { intros i E L. destruct (N.le_gt_cases i h); auto.
    pose proof (slot_later h i (eq_sym E)). lia. }
  split; [|split].
  - constructor; try (cbn; apply G).
    + intros j L. cbn. destruct (N.eq_dec j (h mod c)) as [->|N].
      * rewrite upd_same. cbn. split; [reflexivity|apply slot_lap].
      * rewrite upd_other by auto. now apply (g_own _ _ _ G).
    + intros i H. destruct (At i) as [(E & U & V)|(_ & U)]; rewrite U in H.
      * cbn in H. specialize (Low i E H). cbn. lia.
      * now apply (g_lo _ _ _ G).
    + intros i H. destruct (At i) as [(E & U & V)|(_ & U)]; rewrite U in H.
      * cbn in H. cbn. lia.
      * now apply (g_hi _ _ _ G).
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H.
      { inversion H. cbn. split; intros; lia. }
      destruct (g_free _ _ _ G i H) as [U V]. split; [exact U|]. intros W.
      apply upd_keeps with (Q := fun y => putter y i); auto. intros Y. now destruct (Put i).
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H; [discriminate H|].
      destruct (g_full _ _ _ G i H) as (U & V & W). cbn. repeat split; auto. intros Z.
      apply upd_keeps with (Q := fun y => getter y i); auto. apply Get. congruence.
    + intros i H. destruct (At i) as [(_ & E & _)|(Ni & E)]; rewrite E in H; [discriminate H|].
      destruct (g_void _ _ _ G i H) as (U & V & W). cbn. repeat split; auto. intros Z.
      apply upd_keeps with (Q := fun y => sweeper y i); auto. apply Swp. congruence.
  - intros q Nq. constructor; try (cbn; auto; lia).
    + intros i. destruct (At i) as [(_ & -> & ->)|(_ & ->)]; cbn; lia.
    + intros i ph' Nf H. destruct (At i) as [(_ & U & V)|(_ & E)].
      * right. rewrite U. cbn. destruct H as [H|H]; rewrite V in H; [inversion H|cbn in H]; lia.
      * destruct H as [H|H]; [left|right]; now rewrite E.
    + intros i U V W. destruct (At i) as [(_ & _ & E)|(_ & E)]; [|rewrite E; auto].
      rewrite E in W. inversion W. congruence.
    + intros i ph' U V W X Y. destruct (At i) as [(_ & _ & E)|(_ & E)]; [|rewrite E; auto].
      rewrite E in W. inversion W. congruence.
  - intros i N. destruct (At i) as [(E & _)|(_ & E)]; [congruence|exact E].
Qed.
End PassOn.

Lemma eta_next (t : place) n : fst t = false -> next arith t n = (false, snd t + N.of_nat n).
Proof. reflexivity. Qed.

Lemma bare_place (t : place) : fst t = false -> t = (false, snd t).
Proof. destruct t; cbn; congruence. Qed.

Lemma PUSH_PUBLISH_followed j : followed (At PUSH_PUBLISH j).
Proof.
  intros s a p acc x' HR H. step_cases E H. at_slot H; [|discriminate H]. inv H. cbn.
  destruct HR as (g & G & I & C & K). mine K p E.
  match goal with U : fills _ _ _ _ _ |- _ => rename U into F end.
  destruct (passes_on (memory s) (pcs s) g p (holding arith (next arith t 1) todo n) G t _ todo Filled F)
    as (G' & O & F').
  - rewrite E. intros i Ni. cbn. intros L. apply putter_holding. cbn. lia.
  - rewrite E. cbn. tauto.
  - rewrite E. cbn. tauto.
  - left. subst. auto.
  - pose proof (bare_place t (proj1 F)) as Z. rewrite <- Z in G', O, F'.
    eapply R_make with (a' := a); [exact G|exact K|constructor|exact G'|exact I|exact C|exact O|auto|].
    match goal with U : nstatus a p = _ |- _ => rewrite U end. apply tinv_holding. exact F'.
Qed.

Lemma PUSH_VOID_followed j : followed (At PUSH_VOID j).
Proof.
  intros s a p acc x' HR H. step_cases E H. at_slot H; [|discriminate H]. inv H. cbn.
  destruct HR as (g & G & I & C & K). mine K p E.
  match goal with U : fills _ _ _ _ _ |- _ => rename U into F end.
  destruct (passes_on (memory s) (pcs s) g p (holding arith (next arith t 1) todo n) G t _ todo Void F)
    as (G' & O & F').
  - rewrite E. intros i Ni. cbn. unfold len. cbn [length]. intros L. apply putter_holding.
    cbn. unfold len. lia.
  - rewrite E. cbn. tauto.
  - rewrite E. cbn. tauto.
  - right. auto.
  - pose proof (bare_place t (proj1 F)) as Z. rewrite <- Z in G', O, F'.
    eapply R_make with (a' := a); [exact G|exact K|constructor|exact G'|exact I|exact C|exact O|auto|].
    match goal with U : nstatus a p = _ |- _ => rewrite U end. apply tinv_holding. exact F'.
Qed.

(** Clearing ends; the call goes on. *)
Lemma swept s a p (g : ghost) o x' (h : tick arith) :
  ginv (memory s) (pcs s) g -> nitems a = content (memory s) g ->
  nclosed a = fst (push (memory s) : place) ->
  (forall q, tinv (memory s) g q (pcs s q) (nstatus a q)) ->
  (forall i, sweeper (pcs s p) i -> i = snd h) -> (forall i, ~ putter (pcs s p) i) ->
  (forall i, ~ getter (pcs s p) i) ->
  nstatus a p = NSweeping o -> clears (memory s) g p h ->
  let m' := {| push := push (memory s); pop := pop (memory s);
               turns := upd (turns (memory s)) (snd h mod c) (T (snd h + c) Free : turn arith);
               payloads := payloads (memory s) |} in
  tinv m' g p x' (NCalled o []) ->
  exists a', exec (noting_queue c) a [] a' /\ R {| memory := m'; pcs := upd (pcs s) p x' |} a'.
Proof.
  intros G I C K Sw Pu Ge El (Fh & Lt & Tu & Tk) m' Kn.
  destruct (recycles (memory s) (pcs s) g p x' G (snd h) Void Tk Lt Tu) as (G' & O & _); auto.
  - discriminate.
  - intros i _ Y. now destruct (Ge i).
  - intros i Ni Y. now destruct Ni; auto.
  - eapply R_make with (a' := {| nitems := nitems a; nclosed := nclosed a;
      nstatus := upd (nstatus a) p (NCalled o []) |});
      [exact G|exact K| |exact G'|exact I|exact C|exact O| |].
    + eapply exec_tau; [|constructor]. now apply n_swept.
    + intros q N. cbn. now apply upd_other.
    + cbn [nstatus]. now rewrite upd_same.
Qed.

Lemma POP_RECYCLE_followed j : followed (At POP_RECYCLE j).
Proof.
  intros s a p acc x' HR H. step_cases E H; (at_slot H; [|discriminate H]); inv H; cbn.
  - destruct HR as (g & G & I & C & K). mine K p E.
    eapply swept; eauto; try (rewrite E; cbn; intuition congruence).
    cbn. easy_parts. exists []. easy_parts.
    match goal with U : clears _ _ _ _ |- _ => destruct U as (Fh & Lt & _) end.
    split; [split; [assumption|split; [congruence|intros _; right; cbn; lia]]|].
    split; [lia|]. split; [congruence|]. intros i Hi. lia.
  - destruct HR as (g & G & I & C & K). mine K p E.
    eapply swept; eauto; try (rewrite E; cbn; intuition congruence).
    cbn. eauto.
  - destruct HR as (g & G & I & C & K). mine K p E.
    match goal with U : empties _ _ _ _ _ |- _ => rename U into F end.
    match goal with U : length ?r = k |- _ => rename U into Len; rename r into rest end.
    pose proof (proj2 F O _ eq_refl) as (Wh & Tk & Tu & Lt). cbn in Wh, Tk, Tu, Lt.
    rewrite N.add_0_r in *.
    destruct (recycles (memory s) (pcs s) g p (taking arith (next arith h 1) k (got ++ [v])) G
      (snd h) Filled Tk Lt Tu) as (G' & O & Same).
    + discriminate.
    + rewrite E. intros i Ni. cbn. intros L. apply getter_taking. cbn. lia.
    + rewrite E. cbn. tauto.
    + rewrite E. cbn. tauto.
    + eapply R_make with (a' := a); [exact G|exact K|constructor|exact G'|exact I|exact C|exact O|auto|].
      match goal with U : nstatus a p = _ |- _ => rewrite U end.
      replace (got ++ v :: rest) with ((got ++ [v]) ++ rest) by (rewrite <- app_assoc; reflexivity).
      apply tinv_taking; [exact Len|]. split; [reflexivity|]. intros i z Hi. cbn.
      pose proof (proj2 F (S i) z Hi) as (U & V & W & X). cbn in U, V, W, X.
      replace (snd h + N.of_nat (S i)) with (snd h + 1 + N.of_nat i) in * by lia.
      change (N.of_nat 1) with 1. repeat split; auto. cbn in Same. rewrite Same; [exact W|].
      intros Eq. rewrite Eq, Tu in W. inversion W. lia.
Qed.

Lemma SEAL_MARK_followed j : followed (At SEAL_MARK j).
Proof.
  intros s a p acc x' HR H. step_cases E H. inv H. cbn.
  destruct HR as (g & G & I & C & K). mine K p E.
  eapply R_make with (g' := g) (a' := {| nitems := nitems a; nclosed := true;
    nstatus := upd (nstatus a) p (NDone Sealed) |}); [exact G|exact K| | | | | | |].
  - eapply exec_tau; [|constructor]. eapply n_effect; [eassumption|apply (e_sealed c (view a))].
  - apply ginv_pc with (x' := Fin Sealed) (p := p) in G.
    + destruct G. constructor; auto.
    + rewrite E. cbn. tauto.
  - exact I.
  - reflexivity.
  - intros q N. constructor; cbn; auto; lia.
  - intros q N. cbn. now apply upd_other.
  - cbn. rewrite upd_same. now left.
Qed.

Lemma WRITE_followed : followed WRITE.
Proof.
  intros s a p acc x' HR H. step_cases E H. inv H. cbn.
  destruct HR as (g & G & I & C & K). mine K p E.
  match goal with U : fills _ _ _ _ _ |- _ => rename U into F end.
  pose proof (proj2 F O _ eq_refl) as (Wh & Wo & Tu & Lt). cbn in Wh, Wo, Tu, Lt.
  rewrite N.add_0_r in *.
  assert (forall i ph, tu (memory s) i = T i ph -> i <> snd t -> i mod c <> snd t mod c) as Far.
  { intros i ph U N Eq. rewrite Eq, Tu in U. inversion U. congruence. }
  eapply R_make with (g' := g) (a' := a); [exact G|exact K|constructor| |exact I|exact C| |auto|].
  - apply ginv_pc with (x' := PWritten t todo n) (p := p) in G.
    + destruct G. constructor; auto. cbn. intros i U. destruct (g_full0 i U) as (V & W & X).
      rewrite upd_other; [auto|]. apply Far with (ph := Filled); auto. intros ->. congruence.
    + rewrite E. cbn. unfold len. cbn [length]. split; [|tauto]. intros i. lia.
  - intros q N. constructor; cbn; auto; try lia.
    intros i U V W. repeat split; auto. rewrite upd_other; [auto|].
    apply Far with (ph := Free); auto. congruence.
  - cbn. match goal with U : nstatus a p = _ |- _ => split; [exact U|] end.
    eexists. split; [exact F|]. apply upd_same.
Qed.

Lemma READ_followed : followed READ.
Proof.
  intros s a p acc x' HR H. step_cases E H. inv H. cbn.
  eapply R_local; [exact HR|rewrite E; cbn; split; [intros i []|split; [intros i; lia|intros i []]]|].
  intros g G I C K. mine K p E. exists a. split; [apply learns_nothing|]. cbn.
  match goal with U : empties _ _ _ _ _ |- _ => rename U into F end.
  match goal with U : length ?r = S k |- _ => rename U into Len; rename r into rest end.
  destruct rest as [|v rest]; [discriminate Len|].
  pose proof (proj2 F O _ eq_refl) as (Wh & _ & Tu & Lt). cbn in Wh, Tu, Lt. rewrite N.add_0_r in *.
  destruct (g_full _ _ _ G _ Tu) as (_ & Wh' & _).
  assert (payloads (memory s) (snd h mod c) = v) as -> by congruence.
  exists rest. split; [assumption|]. split; [now inversion Len|exact F].
Qed.

(** * All together *)

Lemma steps_followed k : followed k.
Proof.
  destruct k as [k j| |]; [destruct k|apply WRITE_followed|apply READ_followed];
    auto using PUSH_TICKET_followed, PUSH_TURN_followed, PUSH_CLAIM_followed, PUSH_PUBLISH_followed,
      PUSH_VOID_followed, PUSH_FENCE_followed, PUSH_POP_TICKET_followed, PUSH_RECHECK_followed,
      PUSH_RETRY_followed, POP_TICKET_followed, POP_TURN_followed, POP_CLAIM_followed,
      POP_RECYCLE_followed, POP_FENCE_followed, POP_PUSH_TICKET_followed, POP_RECHECK_followed,
      POP_RETRY_followed, SEAL_MARK_followed, LOOK_followed.
Qed.

Lemma starts m g p o : asks o = true -> tinv m g p (start arith o) (NCalled o []).
Proof. destruct o; cbn; eauto. Qed.

Lemma answers m g p x l r : tinv m g p x l -> answer arith x = Some r ->
  (l = NDone r \/ exists o ns, l = NCalled o ns /\ In r ns) \/ (r = Looked /\ exists ns, l = NCalled Look ns).
Proof.
  destruct x; cbn; intros H A; try discriminate A; inv A; split_all; subst; eauto 10.
Qed.

Theorem turn_fsim : fsim (turn_ring c) (noting_queue c) R.
Proof.
  constructor.
  - intros s (Pu & Po & Tu & Pc).
    exists {| nitems := []; nclosed := false; nstatus := fun _ => NOutside |}.
    split; [repeat split|].
    exists {| what := fun _ => None; who := fun _ => 0; taker := fun _ => 0 |}.
    assert (forall i, turns (memory s) (i mod c) = T (i mod c) Free) as Tu' by (intros; apply Tu).
    assert (forall i, i mod c <= i) as Le by (intros; apply N.mod_le; lia).
    split; [|split; [|split]].
    + constructor; rewrite ?Pu, ?Po; cbn; auto; try lia.
      * intros j L. change (turns (memory s) j) with (turns (memory s) j : turn arith).
        pose proof (Tu j) as E. cbn in E. rewrite E. cbn. split; [reflexivity|]. now apply N.mod_small.
      * intros i. rewrite Tu'. cbn. specialize (Le i). lia.
      * intros i H. rewrite Tu' in H. discriminate H.
      * intros i H. rewrite Tu' in H. discriminate H.
    + unfold content. now rewrite Pu, Po.
    + now rewrite Pu.
    + intros p. rewrite Pc. reflexivity.
  - intros s l s' a HR H. destruct H as [s p o E A|s p k x y E|s p r E].
    + destruct HR as (g & G & I & C & K). pose proof (K p) as Kp. rewrite E in Kp. cbn in Kp.
      eexists. split; [apply (exec_one (noting_queue c)); now apply n_call|].
      exists g. cbn. split; [|split; [exact I|split; [exact C|]]].
      * apply ginv_pc; [exact G|]. rewrite E. cbn. tauto.
      * intros q. destruct (N.eq_dec q p) as [->|N].
        -- rewrite !upd_same. now apply starts.
        -- rewrite !upd_other by auto. apply K.
    + eapply steps_followed; eauto.
    + (* an answer; [Look] has its effect here *)
      pose proof HR as (g & G & I & C & K). pose proof (K p) as Kp.
      destruct (answers _ _ _ _ _ _ Kp E) as [El|(-> & ns & El)].
      * eexists. split; [apply (exec_one (noting_queue c)); now apply n_ret|].
        exists g. cbn. split; [|split; [exact I|split; [exact C|]]].
        -- apply ginv_pc; [exact G|]. destruct (pcs s p); cbn in E |- *; try discriminate E; tauto.
        -- intros q. destruct (N.eq_dec q p) as [->|N].
           ++ rewrite !upd_same. reflexivity.
           ++ rewrite !upd_other by auto. apply K.
      * destruct (note a p Look ns Looked El eq_refl (e_looked c (view a) p))
          as (a' & (X & I' & C' & O) & Ea).
        eexists. split.
        { change (visible (Some (Ret p Looked))) with ([] ++ visible (Some (Ret p Looked))).
          eapply exec_app; [exact X|]. apply (exec_one (noting_queue c)).
          apply n_ret. right. rewrite Ea. do 2 eexists. split; [reflexivity|now left]. }
        exists g. cbn. split; [|split; [congruence|split; [congruence|]]].
        -- apply ginv_pc; [exact G|]. destruct (pcs s p); cbn in E |- *; try discriminate E; tauto.
        -- intros q. destruct (N.eq_dec q p) as [->|N].
           ++ rewrite !upd_same. reflexivity.
           ++ rewrite !upd_other, O by auto. apply K.
Qed.
End Proof.

(** The main theorem. *)
Theorem turn_linearizable : forall c, 1 <= c -> refines (turn_ring c) (atomic_queue c).
Proof.
  intros c Hc. eapply refines_trans; [eapply fsim_refines, turn_fsim; exact Hc|apply noting_refines].
Qed.

(** * Payloads

    A thread is at a payload from the claim of its slot until it passes the slot
    on: it may write there, or read. *)
Definition at_payload c (x : pc (places c)) (j : N) : Prop :=
  match x with
  | PHold t (_ :: _) _ | PWritten t _ _ => snd t mod c = j
  | CHold h (S _) _ | CRead h _ _ _ => snd h mod c = j
  | _ => False
  end.

(** What [R] says of such a thread: which position it is at, on which phase. *)
Lemma at_payload_knows c m g p x l j : tinv c m g p x l -> at_payload c x j -> exists i, i mod c = j /\
  ((who g i = p /\ turns m j = ((false, i), Free)) \/ (taker g i = p /\ turns m j = ((false, i), Filled))).
Proof.
  destruct x as [| | | | | | | | | | | |t [|y todo] n|t todo n| | | | | | | | |h [|k] got|h v k got| | |];
    cbn; try tauto; intros H <-; exists (snd t) + exists (snd h); (split; [reflexivity|]).
  - destruct H as (_ & _ & F). destruct (F O _ eq_refl) as (_ & A & B & _). cbn in A, B.
    rewrite N.add_0_r in *. auto.
  - destruct H as (_ & v & (_ & F) & _). destruct (F O _ eq_refl) as (_ & A & B & _). cbn in A, B.
    rewrite N.add_0_r in *. auto.
  - destruct H as ([|v rest] & _ & L & (_ & F)); [discriminate L|].
    destruct (F O _ eq_refl) as (_ & A & B & _). cbn in A, B. rewrite N.add_0_r in *. auto.
  - destruct H as (rest & _ & _ & (_ & F)).
    destruct (F O _ eq_refl) as (_ & A & B & _). cbn in A, B. rewrite N.add_0_r in *. auto.
Qed.

(** No two threads are at the payload of one slot. *)
Theorem turn_no_race : forall c s0 tr s p q j, 1 <= c ->
  initial (turn_ring c) s0 -> exec (turn_ring c) s0 tr s ->
  at_payload c (pcs s p) j -> at_payload c (pcs s q) j -> p = q.
Proof.
  intros c s0 tr s p q j Hc I X A B. destruct (fsim_init (turn_fsim c Hc) _ I) as (a0 & _ & R0).
  destruct (fsim_exec (turn_fsim c Hc) X _ R0) as (a & _ & g & _ & _ & _ & K).
  destruct (at_payload_knows _ _ _ _ _ _ _ (K p) A) as (i & _ & [[U V]|[U V]]);
    destruct (at_payload_knows _ _ _ _ _ _ _ (K q) B) as (i' & _ & [[U' V']|[U' V']]);
    rewrite V in V'; inversion V'; congruence.
Qed.
