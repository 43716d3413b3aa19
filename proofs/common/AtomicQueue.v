(** The bounded FIFO queue that all engines are compared with.

    [atomic_queue c] is the canonical automaton: a call is made, at one later
    instant it takes effect on a plain list, then it returns. Linearizable to
    this queue means, here, that every history of the engine is a history of
    this automaton ([refines]).

    What the answers say, each at the instant of the effect:
    - [Pushed], [Popped]: a run of at least one place, at once, in order. How
      many of the places asked for is the engine's choice: "up to n".
    - [Full]: not closed, and as many places are taken as there are.
    - [Empty]: not closed, and nothing is inside.
    - [Closed]: a push is told so if and only if the queue is closed; a pop,
      if besides nothing is inside.
    - [Busy]: another call is halfway: of the other side it has taken effect
      and has not returned, or it is clearing a void place away.

    A place may be claimed and then given back. It stays as a void: it counts
    as taken until it is the oldest and some call clears it away. Whoever never
    gives a claim back never sees one. A push says at its call what it will
    write; a claim whose value is chosen later is covered, because what the
    engine does before the value is written does not depend on it: each
    history of such a claim is one where the value was guessed rightly.

    Proved here: no more places are taken than there are
    ([atomic_queue_bounded]); and a queue in which an answer that changes nothing
    is noted while it is true and returned later has no other histories
    ([noting_refines]).

    Idealised: values are numbers; histories have no limits; calls that never
    return are calls like others. *)

From Coq Require Import List NArith Lia.
Import ListNotations.
From Turtle.common Require Import Lts.
Local Open Scope N_scope.

Definition tid := N.
Definition val := N.

(** One place: an element, or a claim that was (will be) given back. *)
Notation cell := (option val).

Inductive op :=
| Push (cs : list cell)  (** up to all of these, in this order *)
| Pop (n : nat)          (** up to n *)
| Seal                   (** close *)
| Look.                  (** lengths, statistics: no promise *)

Inductive res :=
| Pushed (n : nat)       (** so many elements are in *)
| Popped (vs : list val)
| Full | Empty | Busy | Closed | Sealed | Looked.

Inductive ev := Call (p : tid) (o : op) | Ret (p : tid) (r : res).

(** The everyday calls. *)
Definition push1 (v : val) : op := Push [Some v].
Definition pop1 : op := Pop 1.

(** A call asks for at least one place. *)
Definition asks (o : op) : bool :=
  match o with Push [] => false | Pop O => false | _ => true end.

Definition len {A} (l : list A) : N := N.of_nat (length l).

(** How many elements there are among these places. *)
Fixpoint elements (cs : list cell) : nat :=
  match cs with
  | [] => O
  | Some _ :: r => S (elements r)
  | None :: r => elements r
  end.

(** Where a thread is: outside, called, clearing a void away, or done with the
    effect and not yet returned. *)
Inductive stat :=
| Outside
| Called (o : op)
| Sweeping (o : op)
| Done (r : res).

Record astate := { items : list cell; closed : bool; status : tid -> stat }.

(** Somebody else's pop (push) has taken effect and not returned. *)
Definition taking_out (f : tid -> stat) (p : tid) : Prop :=
  exists q, q <> p /\ ((exists vs, f q = Done (Popped vs)) \/ (exists o, f q = Sweeping o)).
Definition putting_in (f : tid -> stat) (p : tid) : Prop :=
  exists q, q <> p /\ exists n, f q = Done (Pushed n).

(** The effect of thread [p]'s call: answer, places and mark afterwards. *)
Inductive effect (c : N) (s : astate) (p : tid) : op -> res -> list cell -> bool -> Prop :=
| e_pushed cs k :
    closed s = false -> (1 <= k <= length cs)%nat -> len (items s) + N.of_nat k <= c ->
    effect c s p (Push cs) (Pushed (elements (firstn k cs))) (items s ++ firstn k cs) false
| e_full cs :
    closed s = false -> len (items s) = c ->
    effect c s p (Push cs) Full (items s) false
| e_push_busy cs :
    closed s = false -> taking_out (status s) p ->
    effect c s p (Push cs) Busy (items s) false
| e_push_closed cs :
    closed s = true ->
    effect c s p (Push cs) Closed (items s) true
| e_popped n vs rest :
    items s = map Some vs ++ rest -> (1 <= length vs <= n)%nat ->
    effect c s p (Pop n) (Popped vs) rest (closed s)
| e_empty n :
    closed s = false -> items s = [] ->
    effect c s p (Pop n) Empty [] false
| e_pop_closed n :
    closed s = true -> items s = [] ->
    effect c s p (Pop n) Closed [] true
| e_pop_busy n :
    putting_in (status s) p ->
    effect c s p (Pop n) Busy (items s) (closed s)
| e_sealed :
    effect c s p Seal Sealed (items s) true
| e_looked :
    effect c s p Look Looked (items s) (closed s).

Inductive atrans (c : N) : astate -> option ev -> astate -> Prop :=
| a_call s p o : status s p = Outside -> asks o = true ->
    atrans c s (Some (Call p o))
      {| items := items s; closed := closed s; status := upd (status s) p (Called o) |}
| a_effect s p o r q b : status s p = Called o -> effect c s p o r q b ->
    atrans c s None {| items := q; closed := b; status := upd (status s) p (Done r) |}
| a_sweep s p o q : status s p = Called o -> items s = None :: q ->
    atrans c s None {| items := q; closed := closed s; status := upd (status s) p (Sweeping o) |}
| a_swept s p o : status s p = Sweeping o ->
    atrans c s None
      {| items := items s; closed := closed s; status := upd (status s) p (Called o) |}
| a_ret s p r : status s p = Done r ->
    atrans c s (Some (Ret p r))
      {| items := items s; closed := closed s; status := upd (status s) p Outside |}.

Definition ainit (s : astate) : Prop :=
  items s = [] /\ closed s = false /\ forall p, status s p = Outside.

Definition atomic_queue (c : N) : lts ev :=
  {| state := astate; initial := ainit; trans := atrans c |}.

(** The promised bound: never more places taken than there are. *)
Theorem atomic_queue_bounded c tr s0 s :
  initial (atomic_queue c) s0 -> exec (atomic_queue c) s0 tr s -> len (items s) <= c.
Proof.
  intros (I & _) X. eapply exec_invariant with (P := fun s => len (items s) <= c); [|exact X|].
  - clear. intros s l s' B T. cbn in T.
    destruct T as [| s p o r q b E F | s p o q E F | |]; cbn; auto.
    + destruct F; auto; try (unfold len; cbn; lia).
      * unfold len in *. rewrite app_length, firstn_length. lia.
      * unfold len in *. match goal with H : items s = _ |- _ => rewrite H in B end.
        rewrite app_length in B. lia.
    + unfold len in *. rewrite F in B. cbn [length] in B. lia.
  - rewrite I. unfold len. cbn. apply N.le_0_l.
Qed.

(** * Answers that turn out later

    A call may see at one step that the queue is full, and only a later step
    decides whether it answers so or tries again. [noting_queue] is the same
    queue for such calls: an answer that changes nothing ([Full], [Empty],
    [Busy], [Closed]) may be noted whenever it is true, any number of them, and
    any noted answer may be returned. It has no other histories than
    [atomic_queue] ([noting_refines]), so an engine may be compared with either. *)

Inductive nstat :=
| NOutside
| NCalled (o : op) (notes : list res)
| NSweeping (o : op)
| NDone (r : res).

Definition plain (x : nstat) : stat :=
  match x with
  | NOutside => Outside
  | NCalled o _ => Called o
  | NSweeping o => Sweeping o
  | NDone r => Done r
  end.

Record nstate := { nitems : list cell; nclosed : bool; nstatus : tid -> nstat }.

Definition view (s : nstate) : astate :=
  {| items := nitems s; closed := nclosed s; status := fun p => plain (nstatus s p) |}.

Definition quiet (r : res) : bool :=
  match r with Pushed _ | Popped _ | Sealed => false | _ => true end.

Inductive ntrans (c : N) : nstate -> option ev -> nstate -> Prop :=
| n_call s p o : nstatus s p = NOutside -> asks o = true ->
    ntrans c s (Some (Call p o))
      {| nitems := nitems s; nclosed := nclosed s; nstatus := upd (nstatus s) p (NCalled o []) |}
| n_note s p o l r q b : nstatus s p = NCalled o l -> quiet r = true ->
    effect c (view s) p o r q b ->
    ntrans c s None
      {| nitems := nitems s; nclosed := nclosed s; nstatus := upd (nstatus s) p (NCalled o (r :: l)) |}
| n_effect s p o l r q b : nstatus s p = NCalled o l -> effect c (view s) p o r q b ->
    ntrans c s None {| nitems := q; nclosed := b; nstatus := upd (nstatus s) p (NDone r) |}
| n_sweep s p o l q : nstatus s p = NCalled o l -> nitems s = None :: q ->
    ntrans c s None
      {| nitems := q; nclosed := nclosed s; nstatus := upd (nstatus s) p (NSweeping o) |}
| n_swept s p o : nstatus s p = NSweeping o ->
    ntrans c s None
      {| nitems := nitems s; nclosed := nclosed s; nstatus := upd (nstatus s) p (NCalled o []) |}
| n_ret s p r : nstatus s p = NDone r \/ (exists o l, nstatus s p = NCalled o l /\ In r l) ->
    ntrans c s (Some (Ret p r))
      {| nitems := nitems s; nclosed := nclosed s; nstatus := upd (nstatus s) p NOutside |}.

Definition ninit (s : nstate) : Prop :=
  nitems s = [] /\ nclosed s = false /\ forall p, nstatus s p = NOutside.

Definition noting_queue (c : N) : lts ev :=
  {| state := nstate; initial := ninit; trans := ntrans c |}.

(** States that differ in how they are written down only. *)
Definition same (a b : astate) : Prop :=
  items a = items b /\ closed a = closed b /\ forall p, status a p = status b p.

Lemma same_refl a : same a a.
Proof. repeat split. Qed.

Lemma same_trans a b d : same a b -> same b d -> same a d.
Proof. intros (?&?&E) (?&?&F). split; [|split]; congruence. Qed.

Lemma upd_ext {A} (f g : N -> A) k x : (forall y, f y = g y) -> forall y, upd f k x y = upd g k x y.
Proof. intros E y. unfold upd. destruct (y =? k); auto. Qed.

Lemma taking_out_ext f g p :
  (forall q, f q = g q) -> taking_out f p -> taking_out g p.
Proof. intros E (q & N & H). exists q. rewrite <- E. auto. Qed.

Lemma putting_in_ext f g p :
  (forall q, f q = g q) -> putting_in f p -> putting_in g p.
Proof. intros E (q & N & H). exists q. rewrite <- E. auto. Qed.

Lemma effect_same c a a' p o r q b : same a a' -> effect c a p o r q b -> effect c a' p o r q b.
Proof.
  intros (I & C & S) F. destruct a as [i k f], a' as [i' k' f']. cbn in I, C, S. subst i' k'.
  destruct F; cbn in *; constructor; cbn; eauto using taking_out_ext, putting_in_ext.
Qed.

Lemma atrans_same c a l a1 b :
  atrans c a l a1 -> same a b -> exists b1, atrans c b l b1 /\ same a1 b1.
Proof.
  intros T S. pose proof S as (I & C & E). destruct T.
  1: eexists; split; [apply a_call; [rewrite <- E|]; eassumption|].
  2: eexists; split; [eapply a_effect; [rewrite <- E|eapply effect_same]; eassumption|].
  3: eexists; split; [eapply a_sweep; [rewrite <- E|rewrite <- I]; eassumption|].
  4: eexists; split; [eapply a_swept; rewrite <- E; eassumption|].
  5: eexists; split; [eapply a_ret; rewrite <- E; eassumption|].
  all: repeat split; cbn; try congruence; now apply upd_ext.
Qed.

Lemma exec_same c a tr a1 b :
  exec (atomic_queue c) a tr a1 -> same a b ->
  exists b1, exec (atomic_queue c) b tr b1 /\ same a1 b1.
Proof.
  intros X. revert b. induction X as [a|a l a1 tr a2 T X IH]; intros b S.
  - exists b. split; [constructor|exact S].
  - destruct (atrans_same _ _ _ _ _ T S) as (b1 & T1 & S1). destruct (IH _ S1) as (b2 & X2 & S2).
    exists b2. split; [eapply exec_step; eauto|exact S2].
Qed.

(** The plain states that a noting state may stand for: each call with notes
    has already taken one of them as its answer, or none yet. *)
Definition stands_for (x : nstat) (y : stat) : Prop :=
  match x with
  | NCalled o l => y = Called o \/ exists r, In r l /\ y = Done r
  | _ => y = plain x
  end.

Definition compat (s : nstate) (a : astate) : Prop :=
  items a = nitems s /\ closed a = nclosed s /\ forall p, stands_for (nstatus s p) (status a p).

Lemma stands_plain x : stands_for x (plain x).
Proof. destruct x; cbn; auto. Qed.

Lemma effect_compat c s a p o r q b :
  compat s a -> effect c (view s) p o r q b -> effect c a p o r q b.
Proof.
  intros (I & C & S) F.
  assert (taking_out (status (view s)) p -> taking_out (status a) p) as T.
  { intros (x & N & H). exists x. split; auto. specialize (S x). cbn in H.
    destruct (nstatus s x); cbn in *; destruct H as [[vs H]|[o' H]]; try discriminate;
      rewrite S; eauto. }
  assert (putting_in (status (view s)) p -> putting_in (status a) p) as U.
  { intros (x & N & n & H). exists x. split; auto. specialize (S x). cbn in H.
    destruct (nstatus s x); cbn in *; try discriminate. rewrite S; eauto. }
  destruct F; cbn in *; rewrite <- ?I, <- ?C in *; constructor; auto.
Qed.

Lemma quiet_keeps c s p o r q b :
  effect c s p o r q b -> quiet r = true -> q = items s /\ b = closed s.
Proof. intros [] Q; try discriminate Q; auto. Qed.

(** One step backwards: whatever the state after it stands for was reached. *)
Lemma noting_back c s l s1 a1 : ntrans c s l s1 -> compat s1 a1 ->
  exists a a1', compat s a /\ exec (atomic_queue c) a (visible l) a1' /\ same a1' a1.
Proof.
  intros T (I & C & S).
  (* the thread that moved goes back to [x]; the others are as they are *)
  assert (forall p x y, stands_for (nstatus s p) x -> status a1 p = y ->
    (forall q, q <> p -> nstatus s1 q = nstatus s q) ->
    let a := {| items := nitems s; closed := nclosed s; status := upd (status a1) p x |} in
    (compat s a -> exists l', l' = visible l /\ exec (atomic_queue c) a l'
        {| items := items a1; closed := closed a1; status := upd (status a) p y |}) ->
    exists a a1', compat s a /\ exec (atomic_queue c) a (visible l) a1' /\ same a1' a1) as back.
  { intros p x y X Y O a H. assert (compat s a) as K.
    { repeat split. intros q. cbn. destruct (N.eq_dec q p) as [->|N].
      - now rewrite upd_same.
      - rewrite upd_other by auto. rewrite <- (O q N). apply S. }
    destruct (H K) as (l' & -> & X'). do 2 eexists. split; [exact K|]. split; [exact X'|].
    repeat split. intros q. cbn. destruct (N.eq_dec q p) as [->|N].
    - now rewrite upd_same.
    - now rewrite !upd_other by auto. }
  assert (forall p x q, q <> p -> upd (nstatus s) p x q = nstatus s q) as others
    by (intros; now apply upd_other).
  destruct T as [s p o E A | s p o ns r q b E Q F | s p o ns r q b E F | s p o ns q E J
    | s p o E | s p r E]; cbn in I, C; pose proof (S p) as Sp; cbn in Sp; rewrite upd_same in Sp;
    cbn in Sp.
  - destruct Sp as [Sp|(r & [] & _)].
    eapply back with (x := Outside) (y := Called o); eauto; [now rewrite E|]. intros _.
    eexists. split; [reflexivity|]. apply exec_one. rewrite I, C. apply a_call; auto.
    cbn. apply upd_same.
  - (* the note: taken by then, or not *)
    assert (stands_for (nstatus s p) (status a1 p) ->
      exists a a1', compat s a /\ exec (atomic_queue c) a [] a1' /\ same a1' a1) as stay.
    { intros K. exists a1, a1. split; [|split; [constructor|apply same_refl]].
      repeat split; auto. intros x. destruct (N.eq_dec x p) as [->|N]; auto.
      rewrite <- (others p (NCalled o (r :: ns)) x N). apply S. }
    destruct Sp as [Sp|(r' & [<-|H] & Sp)].
    + apply stay. rewrite Sp, E. cbn. auto.
    + eapply back with (x := Called o) (y := Done r); eauto; [rewrite E; cbn; auto|]. intros K.
      eexists. split; [reflexivity|]. apply (exec_one (atomic_queue c)).
      destruct (quiet_keeps _ _ _ _ _ _ _ F Q) as [-> ->]. rewrite I, C.
      eapply a_effect; [cbn; apply upd_same|]. eapply effect_compat; eauto.
    + apply stay. rewrite Sp, E. cbn. eauto.
  - eapply back with (x := Called o) (y := Done r); eauto; [rewrite E; cbn; auto|]. intros K.
    eexists. split; [reflexivity|]. apply (exec_one (atomic_queue c)). rewrite I, C.
    eapply a_effect; [cbn; apply upd_same|]. eapply effect_compat; eauto.
  - eapply back with (x := Called o) (y := Sweeping o); eauto; [rewrite E; cbn; auto|]. intros K.
    eexists. split; [reflexivity|]. apply (exec_one (atomic_queue c)). rewrite I, C.
    apply a_sweep with (s := {| items := nitems s; closed := nclosed s;
      status := upd (status a1) p (Called o) |}); [apply upd_same|exact J].
  - destruct Sp as [Sp|(r & [] & _)].
    eapply back with (x := Sweeping o) (y := Called o); eauto; [now rewrite E|]. intros K.
    eexists. split; [reflexivity|]. apply (exec_one (atomic_queue c)). rewrite I, C.
    apply a_swept with (s := {| items := nitems s; closed := nclosed s;
      status := upd (status a1) p (Sweeping o) |}); apply upd_same.
  - eapply back with (x := Done r) (y := Outside); eauto.
    { destruct E as [E|(o & ns & E & H)]; rewrite E; cbn; eauto. }
    intros K. eexists. split; [reflexivity|]. apply exec_one. rewrite I, C.
    apply a_ret with (s := {| items := nitems s; closed := nclosed s;
      status := upd (status a1) p (Done r) |}); apply upd_same.
Qed.

Theorem noting_refines c : refines (noting_queue c) (atomic_queue c).
Proof.
  intros tr (s0 & s & (I & C & O) & X).
  assert (forall a, compat s a -> exists a0 a', compat s0 a0 /\
    exec (atomic_queue c) a0 tr a' /\ same a' a) as back.
  { clear I C O. induction X as [s|s l s1 tr s2 T X IH]; intros a K.
    - exists a, a. split; [exact K|]. split; [constructor|apply same_refl].
    - destruct (IH _ K) as (a1 & a2 & K1 & X1 & S1).
      destruct (noting_back _ _ _ _ _ T K1) as (a0 & a1' & K0 & X0 & S0).
      assert (same a1 a1') as S0' by (destruct S0 as (?&?&?); repeat split; auto).
      destruct (exec_same _ _ _ _ _ X1 S0') as (a2' & X2 & S2).
      exists a0, a2'. split; [exact K0|]. split; [eapply exec_app; eauto|].
      destruct S2 as (U & V & W). eapply same_trans; [|exact S1]. repeat split; auto. }
  destruct (back (view s)) as (a0 & a & (I0 & C0 & S0) & X' & _).
  { repeat split. intros p. apply stands_plain. }
  exists a0, a. split; [|exact X']. repeat split; try congruence.
  intros p. specialize (S0 p). rewrite O in S0. exact S0.
Qed.

(** * Answers, compared *)

Fixpoint same_values (a b : list val) : bool :=
  match a, b with
  | [], [] => true
  | x :: a, y :: b => andb (x =? y) (same_values a b)
  | _, _ => false
  end.

Definition res_eqb (a b : res) : bool :=
  match a, b with
  | Pushed n, Pushed m => Nat.eqb n m
  | Popped v, Popped w => same_values v w
  | Full, Full | Empty, Empty | Busy, Busy | Closed, Closed | Sealed, Sealed | Looked, Looked => true
  | _, _ => false
  end.

Lemma same_values_eq a b : same_values a b = true -> a = b.
Proof.
  revert b. induction a as [|x a IH]; intros [|y b] E; try discriminate E; auto. cbn in E.
  apply andb_prop in E. destruct E as [E1 E2]. apply N.eqb_eq in E1. f_equal; auto.
Qed.

Lemma res_eqb_eq a b : res_eqb a b = true -> a = b.
Proof.
  destruct a, b; cbn; intros E; try discriminate E; auto.
  - apply PeanoNat.Nat.eqb_eq in E. congruence.
  - apply same_values_eq in E. congruence.
Qed.
