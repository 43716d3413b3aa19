(** Why [Closed] may be believed: invariants I4 and I5 of [src/strategy/spsc.rs], with a store buffer.

    [Model.v] takes for granted that a push looks at [sealed] after the others can see that it has entered. On
    real machines a store waits in a buffer while later loads go ahead, and a push of this ring has no fence.
    Here the producer has such a buffer (first in, first out, as on x86), and only closing is modelled: what
    the push writes to [written], and the bits of [sealed].

    Proved:
    - [closed_is_final] (I4): once a pop has seen [PASSED] and then an even [written], [written] stays as it
      is for ever. So what is inside then is all, and [Closed] is true if nothing is;
    - this with the barrier between [SEAL_MARK] and [SEAL_DONE], and without any barrier where the producers
      fence (I5), whichever way the sealer took;
    - [barrier_is_needed]: with neither, an element is published after that.

    Idealised: the barrier takes effect at one instant, at which all that is buffered reaches the memory; the
    sealer's and the observers' own accesses are not buffered (read-modify-writes, and loads); one producer at
    a time, and who takes over its side sees all that the last owner wrote. Payloads, [taken] and the
    consumer's stores are not modelled. Weaker memories than this one are the business of the models under
    [tests]. *)
From Coq Require Import List NArith Bool Lia.
Import ListNotations.
From Turtle.common Require Import Lts.
Local Open Scope N_scope.

(** What is stored in [written]: elements, and whether a push is deciding. *)
Definition store : Type := N * bool.

Inductive pc := Rest | Entered | Doubt | Doubly | Refused | Filling.
Definition inside (x : pc) : bool := match x with Rest => false | _ => true end.
Definition accepted (x : pc) : bool := match x with Filling => true | _ => false end.

Record state := {
  written : store;               (* in memory *)
  buffer : list store;           (* the producer's, oldest first *)
  own : N;                       (* its position *)
  at_ : pc;
  marked : bool; passed : bool; fenced : bool; agreed : bool;
  (* not in the Rust code: all have passed the barrier since the mark; the producer began after [fenced] *)
  barred : bool; since : bool
}.

(** Stores as the producer sees them: the newest one. *)
Fixpoint newest (m : store) (b : list store) : store := match b with [] => m | s :: b => newest s b end.

Section Barrier.
  (** With [lax], a sealer goes on without the barrier, and without producers that fence. *)
  Variable lax : bool.

  Definition put (s : state) (x : store) (to : pc) : state :=
    {| written := written s; buffer := buffer s ++ [x]; own := fst x; at_ := to; marked := marked s;
       passed := passed s; fenced := fenced s; agreed := agreed s; barred := barred s; since := since s |}.
  Definition go (s : state) (to : pc) : state :=
    {| written := written s; buffer := buffer s; own := own s; at_ := to; marked := marked s;
       passed := passed s; fenced := fenced s; agreed := agreed s; barred := barred s; since := since s |}.
  Definition bits (s : state) (m p f a b i : bool) : state :=
    {| written := written s; buffer := buffer s; own := own s; at_ := at_ s; marked := m; passed := p;
       fenced := f; agreed := a; barred := b; since := i |}.

  Inductive step : state -> state -> Prop :=
  (* a store reaches the memory *)
  | drain s x b : buffer s = x :: b ->
      step s {| written := x; buffer := b; own := own s; at_ := at_ s; marked := marked s; passed := passed s;
                fenced := fenced s; agreed := agreed s; barred := barred s; since := since s |}
  (* the producer; its loads do not wait for its stores *)
  | PUSH_ENTER s : at_ s = Rest -> step s (put s (own s, true) Entered)
  | PUSH_SEALED_clear s : at_ s = Entered -> marked s || passed s || fenced s || agreed s = false ->
      step s (go s Filling)
  | PUSH_SEALED s : at_ s = Entered -> marked s || passed s || fenced s || agreed s = true ->
    step s (go s Doubt)
  | PUSH_FENCE s : at_ s = Doubt -> buffer s = [] -> step s (go s Doubly)
  | PUSH_SEALED_again s : at_ s = Doubly -> step s (go s (if marked s then Refused else Filling))
  | PUSH_LEAVE s : at_ s = Refused \/ at_ s = Doubt -> step s (put s (own s, false) Rest)
  | PUSH_PUBLISH_piece s n : at_ s = Filling -> own s <= n -> step s (put s (n, true) Filling)
  | PUSH_PUBLISH s n : at_ s = Filling -> own s <= n -> step s (put s (n, false) Rest)
  (* sealers, any number of them *)
  | SEAL_MARK s : step s (bits s true (passed s) (fenced s) (agreed s) (barred s) (since s))
  | barrier s :
      step s {| written := newest (written s) (buffer s); buffer := []; own := own s; at_ := at_ s;
                marked := marked s; passed := passed s; fenced := fenced s; agreed := agreed s;
                barred := barred s || marked s; since := since s |}
  | SEAL_DONE s : marked s = true -> barred s = true \/ agreed s = true \/ lax = true ->
      step s (bits s (marked s) true (fenced s) (agreed s) (barred s) (since s))
  (* a process without the barrier: producers shall fence, and all of them do *)
  | FENCE_ASK s : step s (bits s (marked s) (passed s) true (agreed s) (barred s) (since s))
  | no_producer s : at_ s = Rest -> buffer s = [] -> fenced s = true ->
      step s (bits s (marked s) (passed s) (fenced s) (agreed s) (barred s) true)
  | FENCE_ASK_again s : since s = true ->
      step s (bits s (marked s) (passed s) (fenced s) true (barred s) (since s)).

  Inductive steps : state -> state -> Prop :=
  | steps_none s : steps s s
  | steps_more s s' s'' : step s s' -> steps s' s'' -> steps s s''.

  (** Any bits that a ring may begin with: nothing, or [FENCED] and [AGREED]. *)
  Definition first (fence : bool) : state :=
    {| written := (0, false); buffer := []; own := 0; at_ := Rest; marked := false; passed := false;
       fenced := fence; agreed := fence; barred := false; since := fence |}.
End Barrier.

(** * The invariant *)

(** Behind a store that is not deciding, nothing grows and no push has been accepted. *)
Fixpoint calm (m : store) (b : list store) (x : pc) : Prop :=
  match b with
  | [] => accepted x = true -> snd m = true
  | s :: b' => (snd m = false -> (forall t, In t b -> fst t = fst m) /\ accepted x = false) /\ calm s b' x
  end.

Record Inv (s : state) : Prop := {
  inv_newest : newest (written s) (buffer s) = (own s, inside (at_ s));
  inv_fence : at_ s = Doubly -> buffer s = [];
  inv_barred : barred s = true -> marked s = true;
  inv_since : since s = true -> fenced s = true;
  inv_agreed : agreed s = true -> since s = true;
  inv_passed : passed s = true -> marked s = true /\ (barred s = true \/ since s = true);
  inv_calm : barred s = true \/ since s = true -> calm (written s) (buffer s) (at_ s)
}.

Lemma newest_snoc m b x : newest m (b ++ [x]) = x.
Proof. revert m. induction b; cbn; auto. Qed.

Lemma newest_same b : forall m n, fst m = n -> (forall t, In t b -> fst t = n) -> fst (newest m b) = n.
Proof.
  induction b as [|t b IH]; intros m n Hm H; cbn; [exact Hm|].
  apply IH; [apply H; now left|]. intros u I. apply H. now right.
Qed.

(** A store of a push that has not been accepted. *)
Lemma calm_flicker b : forall m x y flag, calm m b x -> accepted x = false -> accepted y = false ->
  calm m (b ++ [(fst (newest m b), flag)]) y.
Proof.
  induction b as [|t b IH]; intros m x y flag C A B; cbn in *.
  - split; [|congruence]. intros _. split; [|assumption]. intros t [<-|[]]. reflexivity.
  - destruct C as (C1 & C2). split; [|now apply IH with (x := x)].
    intros S. destruct (C1 S) as (E & _). split; [|assumption].
    intros u [<-|I]; [apply E; now left|]. apply in_app_or in I. destruct I as [I|[<-|[]]]; [apply E;
      now right|].
    cbn. rewrite (newest_same b t (fst t)); [apply E; now left|reflexivity|].
    intros u I. rewrite (E u), (E t); auto.
Qed.

(** A store of one that has been: all before it are deciding. *)
Lemma calm_accepted b : forall m x y s, calm m b x -> accepted x = true -> (accepted y = true ->
  snd s = true) ->
  calm m (b ++ [s]) y.
Proof.
  induction b as [|t b IH]; intros m x y s C A B; cbn in *.
  - split; [|assumption]. intros S. rewrite (C A) in S. discriminate.
  - destruct C as (C1 & C2). split; [|now apply IH with (x := x)].
    intros S. destruct (C1 S) as (_ & E). congruence.
Qed.

Lemma calm_moves b : forall m x y, calm m b x -> (accepted y = true -> accepted x = true) -> calm m b y.
Proof.
  induction b as [|t b IH]; intros m x y C A; cbn in *; [auto|].
  destruct C as (C1 & C2). split; [|now apply IH with (x := x)].
  intros S. destruct (C1 S) as (E & F). split; [assumption|].
  destruct (accepted y); [|reflexivity]. rewrite A in F; auto.
Qed.

(** Deciding at its end, nothing is left to be seen. *)
Lemma calm_end m x : (accepted x = true -> snd m = true) -> calm m [] x.
Proof. auto. Qed.

Lemma inv_first fence : Inv (first fence).
Proof. constructor; cbn; auto; discriminate. Qed.

Lemma inv_step s s' : Inv s -> step false s s' -> Inv s'.
Proof.
  intros [N F B S A P C] T.
  assert (own s = fst (newest (written s) (buffer s))) as O by now rewrite N.
  destruct T as [s x b E|s E|s E Z|s E Z|s E Z|s E|s E|s n E L|s n E L|s|s|s M W|s|s E Z W|s W];
    constructor; cbn; auto; try (rewrite newest_snoc; reflexivity); try discriminate;
    try (rewrite N, E; reflexivity).
  - (* drain *)
    rewrite E in N. exact N.
  - intros D. rewrite (F D) in E. discriminate.
  - intros H. specialize (C H). rewrite E in C. apply C.
  - (* PUSH_ENTER *)
    intros H. rewrite O. apply calm_flicker with (x := at_ s); auto; now rewrite E.
  - (* PUSH_SEALED: nobody has passed a barrier, and no producer fences *)
    rewrite !orb_false_iff in Z. destruct Z as (((Z1 & _) & Z3) & _).
    intros [H|H]; [specialize (B H)|specialize (S H)]; congruence.
  - intros H. apply calm_moves with (x := at_ s); [auto|discriminate].
  - intros H. apply calm_moves with (x := at_ s); [auto|discriminate].
  - (* PUSH_SEALED again, after the fence *)
    rewrite N, E. now destruct (marked s).
  - intros H. rewrite (F E). apply calm_end. intros _. rewrite (F E) in N. cbn in N. now rewrite N, E.
  - (* PUSH_LEAVE *)
    intros H. rewrite O. apply calm_flicker with (x := at_ s); auto. destruct E as [E|E]; now rewrite E.
  - (* PUSH_PUBLISH *)
    intros H. apply calm_accepted with (x := at_ s); auto. now rewrite E.
  - intros H. apply calm_accepted with (x := at_ s); auto; try (now rewrite E); discriminate.
  - (* SEAL_MARK *)
    intros H. destruct (P H). auto.
  - (* the barrier *)
    intros H. apply orb_true_iff in H. destruct H; auto.
  - intros H. destruct (P H) as (P1 & [P2|P2]); split; auto. rewrite P2. now left.
  - intros _ H. rewrite N. cbn. destruct (at_ s); try discriminate H. reflexivity.
  - (* SEAL_DONE *)
    intros _. split; [assumption|]. destruct W as [W|[W|W]]; [auto|auto|discriminate].
  - (* no producer *)
    intros H. destruct (P H) as (P1 & _). auto.
  - intros _. rewrite Z. apply calm_end. rewrite E. discriminate.
Qed.

Lemma inv_steps s s' : steps false s s' -> Inv s -> Inv s'.
Proof. intros X. induction X as [s|s s1 s2 T X IH]; intros I; [exact I|]. apply IH. eapply inv_step;
  eauto. Qed.

(** * I4 *)

(** Nothing grows any more. *)
Definition final (n : N) (s : state) : Prop :=
  marked s = true /\ fst (written s) = n /\ (forall t, In t (buffer s) -> fst t = n) /\ own s = n /\
  accepted (at_ s) = false.

Lemma final_step n s s' : final n s -> step false s s' -> final n s'.
Proof.
  intros (M & W & B & O & A) T.
  destruct T as [s x b E|s E|s E Z|s E Z|s E Z|s E|s E|s k E L|s k E L|s|s|s M' W'|s|s E Z W'|s W'];
    unfold final; cbn; try (rewrite E in A; discriminate A); auto.
  - rewrite E in B. split; [exact M|]. split; [apply B; now left|]. split; [|auto].
    intros t I. apply B. now right.
  - split; [exact M|]. split; [exact W|]. split; [|auto].
    intros t I. apply in_app_or in I. destruct I as [I|[<-|[]]]; auto.
  - rewrite M in Z. discriminate.
  - rewrite M. auto.
  - split; [exact M|]. split; [exact W|]. split; [|auto].
    intros t I. apply in_app_or in I. destruct I as [I|[<-|[]]]; auto.
  - split; [exact M|]. split; [now apply newest_same|]. split; [intros t []|auto].
Qed.

Lemma final_steps n s s' : steps false s s' -> final n s -> final n s'.
Proof. intros X. induction X as [s|s s1 s2 T X IH]; intros F; [exact F|]. apply IH. eapply final_step;
  eauto. Qed.

Lemma passed_stays s s' : steps false s s' -> passed s = true -> passed s' = true.
Proof.
  intros X. induction X as [s|s s1 s2 T X IH]; intros P; [exact P|]. apply IH.
  destruct T; cbn; auto.
Qed.

(** [POP_SEALED] saw [PASSED] at [s1], [POP_LAST] an even [written] at [s2]: so it is at every [s3] after
    that. *)
Theorem closed_is_final fence s1 s2 s3 n :
  steps false (first fence) s1 -> passed s1 = true ->
  steps false s1 s2 -> written s2 = (n, false) ->
  steps false s2 s3 -> fst (written s3) = n.
Proof.
  intros X1 P X2 W X3. enough (final n s2) as F by exact (proj1 (proj2 (final_steps n s2 s3 X3 F))).
  pose proof (inv_steps _ _ X2 (inv_steps _ _ X1 (inv_first fence))) as [N _ _ _ _ Ip C].
  destruct (Ip (passed_stays _ _ X2 P)) as (M & BS). specialize (C BS). rewrite W in *.
  assert ((forall t, In t (buffer s2) -> fst t = n) /\ accepted (at_ s2) = false) as (B & A).
  { destruct (buffer s2) as [|t b]; cbn in C.
    - split; [intros t []|]. destruct (accepted (at_ s2)); [discriminate (C eq_refl)|reflexivity].
    - apply C. reflexivity. }
  split; [exact M|]. split; [now rewrite W|]. split; [exact B|]. split; [|exact A].
  pose proof (newest_same (buffer s2) (n, false) n eq_refl B) as Q. rewrite N in Q. exact Q.
Qed.

(** The same for the sealer: when [SEAL_LOOK] sees an even [written], closing is complete. *)
Corollary sealed_is_final fence s1 s2 n :
  steps false (first fence) s1 -> passed s1 = true -> written s1 = (n, false) ->
  steps false s1 s2 -> fst (written s2) = n.
Proof. intros X P W. apply (closed_is_final fence s1 s1); auto. constructor. Qed.

(** Without barrier and fence: a push looks at [sealed] before anybody sees that it has entered; the ring is
    sealed and found empty, and then the push is published. *)
Theorem barrier_is_needed : exists s1 s2,
  steps true (first false) s1 /\ passed s1 = true /\ written s1 = (0, false) /\
  steps true s1 s2 /\ written s2 = (1, false).
Proof.
  do 2 eexists. split; [|split; [|split; [|split]]].
  - eapply steps_more; [apply PUSH_ENTER; reflexivity|].
    eapply steps_more; [apply PUSH_SEALED_clear; reflexivity|].
    eapply steps_more; [apply SEAL_MARK|].
    eapply steps_more; [apply SEAL_DONE; [reflexivity|now right; right]|].
    apply steps_none.
  - reflexivity.
  - reflexivity.
  - eapply steps_more; [apply (PUSH_PUBLISH true _ 1); [reflexivity|cbn; lia]|].
    eapply steps_more; [eapply drain; reflexivity|].
    eapply steps_more; [eapply drain; reflexivity|].
    apply steps_none.
  - reflexivity.
Qed.
