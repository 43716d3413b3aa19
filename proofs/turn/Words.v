(** The turn ring with 64-bit words: [words_linearizable].

    [words c] computes tickets and turns as [src/strategy/turn.rs] does: the
    masks, the wrapping sums, the sealed bit. The ring of [Model.v] over these
    words takes, step by step, the same way as the ring over positions, as long
    as fewer than [2^60 - 2 c] places have been pushed since it was built. So up
    to there every history is one of the bounded queue.

    The number of places pushed is counted beside the ring ([pushed]); the steps
    do not look at it. The hypothesis is the one that the Rust file states: what
    happens when tickets wrap is not proved (a thread would have to sleep for
    that long in the middle of a call).

    Idealised: as in [Proof.v], but for the numbers. *)

From Coq Require Import List NArith Lia Bool.
Import ListNotations.
From Turtle.common Require Import Lts AtomicQueue Replay.
From Turtle.turn Require Import Model Proof.
Local Open Scope N_scope.

Local Arguments N.of_nat : simpl never.
Local Arguments Nat.ltb : simpl never.
Local Arguments firstn : simpl never.

Ltac inv H := inversion H; subst; clear H.
Ltac split_all := repeat match goal with
  | H : _ /\ _ |- _ => destruct H
  | H : exists _, _ |- _ => destruct H
  end.

Section Words.
Variable c : N.
Hypothesis Hc : 1 <= c.

(** * As in Rust *)

Definition bits : N := N.size (c - 1).            (* checked_ilog2 + 1, or 0 *)
Definition ONE : N := 4.
Definition SEALED : N := 2 ^ 63.
Definition lap : N := ONE * 2 ^ bits.             (* one_lap *)
Definition index_mask : N := N.shiftl (N.ones bits) 2.   (* one_lap - ONE *)
Definition wrap (x : N) : N := x mod 2 ^ 64.
Definition unsealed (t : N) : N := N.land t (N.ones 63).  (* t & !SEALED *)

Definition index_of (t : N) : N := N.shiftr (N.land t index_mask) 2.
Definition next_word (t : N) (n : nat) : N :=
  let index := index_of t + N.of_nat n in
  if index <? c then wrap (t + N.of_nat n * ONE)
  else unsealed (N.lor (wrap (N.ldiff t index_mask + lap)) ((index - c) * ONE)).
Definition lap_on_word (t : N) : N := unsealed (wrap (t + lap)).
Definition lap_behind_word (t x : N) : bool :=
  N.ldiff x (N.ones 2) =? unsealed (wrap (t + 2 ^ 64 - lap)).

Definition words : arith := {|
  tick := N;
  turn := N;
  tick_eqb := N.eqb;
  turn_eqb := N.eqb;
  slot := index_of;
  sealed := fun t => negb (N.land t SEALED =? 0);
  mark := fun t => N.lor t SEALED;
  bare := unsealed;
  next := next_word;
  lap_on := lap_on_word;
  lap_behind := lap_behind_word;
  go := fun t ph => wrap (t + phase_word ph)
|}.

(** * The word of a position *)

Notation W := (word_of c).
Notation P := (places c).
Notation pos x := (snd (fst x)).
Definition limit : N := 2 ^ 60.

Definition at_place (i : N) : N := i / c * lap + i mod c * 4.

Lemma pow_facts : 2 ^ 60 = 1152921504606846976 /\ 2 ^ 63 = 9223372036854775808 /\
  2 ^ 64 = 18446744073709551616.
Proof. repeat split; reflexivity. Qed.

Lemma word_open i : W (false, i) = at_place i.
Proof. unfold word_of, at_place, lap, ONE, one_lap, bits. cbn [fst snd]. lia. Qed.

Lemma word_sealed i : W (true, i) = at_place i + SEALED.
Proof. unfold word_of, at_place, lap, ONE, one_lap, bits, SEALED. cbn [fst snd]. lia. Qed.

Lemma c_fits : c <= 2 ^ bits.
Proof. pose proof (N.size_gt (c - 1)). unfold bits. lia. Qed.

Lemma lap_small : lap <= 8 * c.
Proof.
  pose proof (N.size_le (c - 1)) as H. rewrite N.succ_double_spec in H. unfold lap, bits, ONE. lia.
Qed.

Lemma lap_large : 4 * c <= lap.
Proof. pose proof c_fits. unfold lap, ONE. lia. Qed.

Lemma split_place i : i = c * (i / c) + i mod c /\ i mod c < c.
Proof. split; [apply N.div_mod; lia|apply N.mod_lt; lia]. Qed.

Lemma at_place_le i : at_place i <= 8 * i.
Proof.
  unfold at_place. destruct (split_place i) as [E L]. pose proof lap_small.
  set (q := i / c) in *. set (r := i mod c) in *. nia.
Qed.

Lemma at_place_lap i : at_place (i + c) = at_place i + lap.
Proof.
  unfold at_place. rewrite (slot_lap c Hc).
  replace ((i + c) / c) with (i / c + 1) by (replace (i + c) with (i + 1 * c) by lia;
    rewrite N.div_add by lia; lia). lia.
Qed.

Lemma at_place_inj i j : at_place i = at_place j -> i = j.
Proof.
  unfold at_place. intros E. destruct (split_place i) as [Ei Li]. destruct (split_place j) as [Ej Lj].
  pose proof lap_large.
  assert (i / c = j / c) as Q.
  { set (q := i / c) in *. set (q' := j / c) in *. set (r := i mod c) in *. set (r' := j mod c) in *.
    destruct (N.lt_total q q') as [A|[A|A]]; auto; exfalso; nia. }
  rewrite Q in E, Ei. assert (i mod c = j mod c) by lia. congruence.
Qed.

Lemma at_place_4 i : exists y, at_place i = 4 * y.
Proof. exists (i / c * 2 ^ bits + i mod c). unfold at_place, lap, ONE. lia. Qed.

Lemma bits_small : c < limit -> 2 ^ bits < 2 ^ 61.
Proof.
  intros L. pose proof (N.size_le (c - 1)) as H. rewrite N.succ_double_spec in H.
  fold bits in H. unfold limit in L. replace (2 ^ 61) with (2 * 2 ^ 60) by reflexivity. lia.
Qed.

Lemma index_mod t : index_of t = (t / 4) mod 2 ^ bits.
Proof.
  unfold index_of, index_mask. rewrite N.shiftr_land, N.shiftr_shiftl_l by lia.
  replace (2 - 2) with 0 by lia. rewrite N.shiftl_0_r, N.land_ones.
  rewrite N.shiftr_div_pow2. reflexivity.
Qed.

Lemma index_place i : index_of (at_place i) = i mod c.
Proof.
  rewrite index_mod. unfold at_place, lap, ONE. destruct (split_place i) as [_ L]. pose proof c_fits.
  replace (i / c * (4 * 2 ^ bits) + i mod c * 4) with ((i mod c + i / c * 2 ^ bits) * 4) by lia.
  rewrite N.div_mul by lia. rewrite N.mod_add by (apply N.pow_nonzero; lia). apply N.mod_small. lia.
Qed.

Lemma index_sealed i : c < limit -> index_of (at_place i + SEALED) = i mod c.
Proof.
  intros L. rewrite <- (index_place i), !index_mod. destruct (at_place_4 i) as [y ->].
  assert (SEALED = 4 * (2 ^ (61 - bits) * 2 ^ bits)) as ->.
  { rewrite <- N.pow_add_r. replace (61 - bits + bits) with 61; [reflexivity|].
    assert (bits < 61); [|lia]. apply (N.pow_lt_mono_r_iff 2); [lia|now apply bits_small]. }
  replace (4 * y + 4 * (2 ^ (61 - bits) * 2 ^ bits)) with ((y + 2 ^ (61 - bits) * 2 ^ bits) * 4) by lia.
  replace (4 * y) with (y * 4) by lia. rewrite !N.div_mul by lia.
  apply N.mod_add. apply N.pow_nonzero. lia.
Qed.

Lemma unsealed_mod t : unsealed t = t mod 2 ^ 63.
Proof. apply N.land_ones. Qed.

Lemma unsealed_small t : t < 2 ^ 63 -> unsealed t = t.
Proof. intros L. rewrite unsealed_mod. now apply N.mod_small. Qed.

Lemma wrap_small t : t < 2 ^ 64 -> wrap t = t.
Proof. intros L. now apply N.mod_small. Qed.

(** Disjoint bits add up. *)
Lemma lor_add q n r : r < 2 ^ n -> N.lor (q * 2 ^ n) r = q * 2 ^ n + r.
Proof.
  intros L. assert (N.land (q * 2 ^ n) r = 0) as Z; [|now rewrite N.add_nocarry_lxor, N.lxor_lor].
  apply N.bits_inj_0. intros m.
  rewrite N.land_spec. destruct (N.lt_ge_cases m n) as [M|M].
  - rewrite N.mul_pow2_bits_low by exact M. reflexivity.
  - rewrite <- (N.mod_small r (2 ^ n)) by exact L. rewrite N.mod_pow2_bits_high by exact M.
    apply andb_false_r.
Qed.

Lemma mask_out t : t < 2 ^ 64 -> N.ldiff t index_mask = t - N.land t index_mask.
Proof.
  intros _. rewrite N.sub_nocarry_ldiff.
  - apply N.bits_inj. intros n. rewrite !N.ldiff_spec, N.land_spec.
    destruct (N.testbit t n), (N.testbit index_mask n); reflexivity.
  - apply N.bits_inj_0. intros n. rewrite N.ldiff_spec, N.land_spec.
    destruct (N.testbit t n), (N.testbit index_mask n); reflexivity.
Qed.

Lemma masked i : N.land (at_place i) index_mask = i mod c * 4.
Proof.
  pose proof (index_place i) as H. unfold index_of in H.
  assert (N.land (at_place i) index_mask = N.shiftl (N.shiftr (N.land (at_place i) index_mask) 2) 2) as ->.
  { rewrite <- N.ldiff_ones_r. apply N.bits_inj. intros n. rewrite N.ldiff_spec, N.land_spec.
    unfold index_mask. destruct (N.lt_ge_cases n 2) as [M|M].
    - rewrite N.shiftl_spec_low by exact M. now rewrite andb_false_r.
    - rewrite N.ones_spec_high by exact M. now rewrite andb_true_r. }
  rewrite H, N.shiftl_mul_pow2. reflexivity.
Qed.

Lemma next_place i n : N.of_nat n <= c -> i + N.of_nat n < limit -> i + c < limit ->
  next_word (at_place i) n = at_place (i + N.of_nat n).
Proof.
  intros Ln Lt Lc. set (k := N.of_nat n) in *. unfold next_word. fold k.
  rewrite index_place. destruct (split_place i) as [E L].
  pose proof (at_place_le i). pose proof (at_place_le (i + k)). pose proof (at_place_le (i + c)) as Lap.
  destruct pow_facts as (P60 & P63 & P64). unfold limit in *. rewrite P60 in *.
  destruct (N.ltb_spec (i mod c + k) c) as [B|B].
  - assert (at_place (i + k) = at_place i + k * 4) as ->.
    { unfold at_place. assert ((i + k) / c = i / c) as ->
        by (symmetry; apply (N.div_unique _ _ _ (i mod c + k)); lia).
      assert ((i + k) mod c = i mod c + k) as ->
        by (symmetry; apply (N.mod_unique _ _ (i / c)); lia). lia. }
    apply wrap_small. rewrite P64. unfold ONE. lia.
  - rewrite mask_out by (rewrite P64; lia). rewrite masked.
    assert (at_place (i + k) = (i / c + 1) * lap + (i mod c + k - c) * 4) as EQ.
    { unfold at_place. assert ((i + k) / c = i / c + 1) as ->
        by (symmetry; apply (N.div_unique _ _ _ (i mod c + k - c)); lia).
      assert ((i + k) mod c = i mod c + k - c) as ->
        by (symmetry; apply (N.mod_unique _ _ (i / c + 1)); lia). reflexivity. }
    assert (at_place i - i mod c * 4 + lap = (i / c + 1) * lap) as ->.
    { unfold at_place. rewrite N.add_sub. lia. }
    rewrite at_place_lap in Lap.
    rewrite wrap_small by (rewrite P64; unfold at_place in Lap; lia).
    assert ((i / c + 1) * lap = (i / c + 1) * 2 ^ (bits + 2)) as ->
      by (unfold lap, ONE; rewrite N.pow_add_r; change (2 ^ 2) with 4; lia).
    rewrite lor_add.
    + rewrite unsealed_small; rewrite EQ in *; unfold lap, ONE in *; rewrite N.pow_add_r in *;
        change (2 ^ 2) with 4 in *; [lia|]. rewrite P63. lia.
    + rewrite N.pow_add_r. change (2 ^ 2) with 4. pose proof c_fits. unfold ONE. lia.
Qed.

Lemma lap_on_place i : i + c < limit -> lap_on_word (at_place i) = at_place (i + c).
Proof.
  intros L. unfold lap_on_word. pose proof (at_place_le (i + c)) as H.
  destruct pow_facts as (P60 & P63 & P64). unfold limit in L. rewrite P60 in L.
  rewrite <- at_place_lap. rewrite wrap_small by (rewrite P64; lia).
  apply unsealed_small. rewrite P63. lia.
Qed.

Lemma phase_small ph : phase_word ph < 4.
Proof. destruct ph; cbn; lia. Qed.

Lemma strip_place i ph : N.ldiff (at_place i + phase_word ph) (N.ones 2) = at_place i.
Proof.
  rewrite N.ldiff_ones_r, N.shiftr_div_pow2, N.shiftl_mul_pow2. change (2 ^ 2) with 4.
  destruct (at_place_4 i) as [y ->]. pose proof (phase_small ph).
  replace ((4 * y + phase_word ph) / 4) with y; [lia|].
  apply (N.div_unique _ _ _ (phase_word ph)); lia.
Qed.

Lemma lap_behind_place t u ph : t < limit -> u + c < limit ->
  lap_behind_word (at_place t) (at_place u + phase_word ph) = (u + c =? t).
Proof.
  intros Lt Lu. unfold lap_behind_word. rewrite strip_place.
  destruct pow_facts as (P60 & P63 & P64). unfold limit in *. rewrite P60 in *.
  pose proof (at_place_le t). pose proof (at_place_le (u + c)) as Lap. rewrite at_place_lap in Lap.
  pose proof lap_large.
  destruct (N.le_gt_cases c t) as [L|L].
  - replace t with (t - c + c) at 1 by lia. rewrite at_place_lap.
    replace (at_place (t - c) + lap + 2 ^ 64 - lap) with (at_place (t - c) + 1 * 2 ^ 64) by lia.
    unfold wrap. rewrite N.mod_add by lia. pose proof (at_place_le (t - c)).
    rewrite N.mod_small by (rewrite P64; lia). rewrite unsealed_small by (rewrite P63; lia).
    destruct (N.eqb_spec (at_place u) (at_place (t - c))) as [E|E], (N.eqb_spec (u + c) t); auto; exfalso.
    + apply at_place_inj in E. lia.
    + apply E. f_equal. lia.
  - assert (at_place t = t * 4) as ->.
    { unfold at_place. rewrite N.div_small, N.mod_small by exact L. lia. }
    destruct (N.eqb_spec (u + c) t); [lia|]. apply N.eqb_neq.
    rewrite unsealed_mod, wrap_small by (rewrite P64; lia).
    assert ((t * 4 + 2 ^ 64 - lap) mod 2 ^ 63 = t * 4 + 2 ^ 63 - lap) as ->.
    { symmetry. apply (N.mod_unique _ _ 1); rewrite ?P63, ?P64 in *; lia. }
    rewrite P63. lia.
Qed.

(** * Words compare as positions do *)

Lemma place_small i : i < limit -> at_place i + 3 < 2 ^ 63.
Proof.
  intros L. pose proof (at_place_le i). destruct pow_facts as (P60 & P63 & _).
  unfold limit in L. rewrite P60 in L. rewrite P63. lia.
Qed.

Lemma word_cases (t : place) : W t = at_place (snd t) + (if fst t then SEALED else 0).
Proof. destruct t as [[|] i]; [apply word_sealed|rewrite word_open; cbn; lia]. Qed.

Lemma word_index t : c < limit -> index_of (W t) = snd t mod c.
Proof.
  intros L. rewrite word_cases. destruct (fst t); [now apply index_sealed|].
  rewrite N.add_0_r. apply index_place.
Qed.

Lemma word_eqb a b : snd a < limit -> snd b < limit -> (W a =? W b) = place_eqb a b.
Proof.
  intros La Lb. pose proof (place_small _ La). pose proof (place_small _ Lb).
  destruct (place_eqb a b) eqn:E.
  - apply place_eqb_spec in E. subst. apply N.eqb_refl.
  - apply place_eqb_no in E. apply N.eqb_neq. rewrite !word_cases. unfold SEALED.
    destruct a as [[|] i], b as [[|] j]; cbn [fst snd] in *; intros F; try lia;
      apply E; f_equal; apply at_place_inj; lia.
Qed.

Definition enc_turn (x : turn P) : N := W (fst x) + phase_word (snd x).

Lemma turn_eqb_words (x y : turn P) :
  fst (fst x) = false -> pos x < limit -> pos y < limit ->
  (enc_turn x =? W (fst y) + phase_word (snd y)) =
  place_eqb (fst x) (fst y) && phase_eqb (snd x) (snd y).
Proof.
  intros F Lx Ly. pose proof (place_small _ Lx). pose proof (place_small _ Ly).
  destruct (place_eqb (fst x) (fst y) && phase_eqb (snd x) (snd y)) eqn:E.
  - apply (turn_eqb_spec c) in E. subst. apply N.eqb_refl.
  - apply (turn_eqb_no c) in E. apply N.eqb_neq. unfold enc_turn. rewrite !word_cases. unfold SEALED.
    pose proof (phase_small (snd x)). pose proof (phase_small (snd y)).
    destruct x as [[b i] px], y as [[b' j] py]; cbn [fst snd] in *. subst b. intros G.
    destruct (at_place_4 i) as [u Eu], (at_place_4 j) as [v Ev].
    destruct b'; [rewrite Ev, Eu in *; destruct pow_facts as (_ & P63 & _); rewrite P63 in *; lia|].
    assert (u = v) by lia. assert (phase_word px = phase_word py) by lia.
    apply E. f_equal; [f_equal; apply at_place_inj; lia|].
    destruct px, py; cbn in *; try discriminate; auto.
Qed.

Lemma go_word t ph : snd t < limit -> wrap (W t + phase_word ph) = W t + phase_word ph.
Proof.
  intros L. apply wrap_small. pose proof (place_small _ L). pose proof (phase_small ph).
  rewrite word_cases. unfold SEALED. destruct pow_facts as (_ & P63 & P64). rewrite P63, P64 in *.
  destruct (fst t); lia.
Qed.

Lemma bit63_small t : t < 2 ^ 63 -> N.testbit t 63 = false.
Proof.
  intros L. rewrite <- (N.mod_small t (2 ^ 63)) by exact L. now apply N.mod_pow2_bits_high.
Qed.

Lemma sealed_as_bits t : t < 2 ^ 63 -> t + SEALED = N.lor t SEALED.
Proof.
  intros L. unfold SEALED. assert (N.land t (2 ^ 63) = 0) as Z.
  { apply N.bits_inj_0. intros m. rewrite N.land_spec, N.pow2_bits_eqb.
    destruct (N.eqb_spec 63 m) as [<-|]; [|apply andb_false_r]. now rewrite bit63_small. }
  now rewrite N.add_nocarry_lxor, N.lxor_lor.
Qed.

Lemma word_sealed_bit t : snd t < limit -> negb (N.land (W t) SEALED =? 0) = fst t.
Proof.
  intros L. pose proof (place_small _ L). rewrite word_cases.
  assert (forall y, y < 2 ^ 63 -> N.land y SEALED = 0) as Low.
  { intros y Ly. apply N.bits_inj_0. intros m. unfold SEALED. rewrite N.land_spec, N.pow2_bits_eqb.
    destruct (N.eqb_spec 63 m) as [<-|]; [|apply andb_false_r]. now rewrite bit63_small. }
  destruct (fst t).
  - rewrite sealed_as_bits by lia. rewrite N.land_lor_distr_l, Low, N.land_diag by lia. reflexivity.
  - rewrite N.add_0_r, Low by lia. reflexivity.
Qed.

Lemma word_mark t : snd t < limit -> N.lor (W t) SEALED = W (true, snd t).
Proof.
  intros L. pose proof (place_small _ L). rewrite !word_cases. cbn [fst snd].
  destruct (fst t); rewrite ?N.add_0_r; rewrite sealed_as_bits by lia; [|reflexivity].
  now rewrite <- N.lor_assoc, N.lor_diag.
Qed.

Lemma word_bare t : snd t < limit -> unsealed (W t) = W (false, snd t).
Proof.
  intros L. pose proof (place_small _ L). rewrite !word_cases, unsealed_mod. cbn [fst snd].
  rewrite N.add_0_r. destruct (fst t).
  - unfold SEALED. replace (2 ^ 63) with (1 * 2 ^ 63) at 1 by lia.
    rewrite N.mod_add by discriminate. apply N.mod_small. lia.
  - rewrite N.add_0_r. apply N.mod_small. lia.
Qed.

(** * The ring of words beside the ring of positions *)

Notation tp m := (snd (push m : place)).

Definition enc_pc (x : pc P) : pc words :=
  match x with
  | Idle => Idle
  | PTicket cs => PTicket cs
  | PTurn cs t k => @PTurn words cs (W t) k
  | PShut cs => PShut cs
  | PStale cs t x => @PStale words cs (W t) (enc_turn x)
  | PFenced cs t x => @PFenced words cs (W t) (enc_turn x)
  | POldest cs t x h => @POldest words cs (W t) (enc_turn x) (W h)
  | PSweep cs t h => @PSweep words cs (W t) (W h)
  | PSwept cs t h => @PSwept words cs (W t) (W h)
  | PCheck cs t x => @PCheck words cs (W t) (enc_turn x)
  | PStill cs t x => @PStill words cs (W t) (enc_turn x)
  | PMoved cs => PMoved cs
  | PHold t todo n => @PHold words (W t) todo n
  | PWritten t todo n => @PWritten words (W t) todo n
  | CTicket n => CTicket n
  | CTurn n h k => @CTurn words n (W h) k
  | CStale n h x => @CStale words n (W h) (enc_turn x)
  | CFenced n h x => @CFenced words n (W h) (enc_turn x)
  | CSwept n h => @CSwept words n (W h)
  | CCheck n h x => @CCheck words n (W h) (enc_turn x)
  | CStill n h x => @CStill words n (W h) (enc_turn x)
  | CMoved n => CMoved n
  | CHold h k got => @CHold words (W h) k got
  | CRead h v k got => @CRead words (W h) v k got
  | SMark => SMark
  | Looking => Looking
  | Fin r => Fin r
  end.

Record same_mem (w : mem words) (m : mem P) : Prop := {
  s_push : push w = W (push m);
  s_pop : pop w = W (pop m);
  s_turns : forall j, j < c -> turns w j = enc_turn (turns m j);
  s_payloads : forall j, payloads w j = payloads m j
}.

(** A turn that was stored; the places that a thread knows. *)
Definition stored (m : mem P) (x : turn P) : Prop := fst (fst x) = false /\ pos x < tp m + c.
Definition old (m : mem P) (t : place) : Prop := fst t = false /\ snd t <= tp m.

Definition known (m : mem P) (x : pc P) : Prop :=
  match x with
  | PTurn _ t k => snd t <= tp m /\ (k <> O -> fst t = false) /\ N.of_nat k <= c
  | PStale _ t x | PFenced _ t x | PCheck _ t x | PStill _ t x => old m t /\ stored m x
  | POldest _ t x h => old m t /\ stored m x /\ old m h
  | PSweep _ t h | PSwept _ t h => old m t /\ old m h
  | PHold t (_ :: _) _ | PWritten t _ _ => old m t
  | CTurn _ h k => old m h /\ N.of_nat k <= c
  | CStale _ h x | CFenced _ h x | CCheck _ h x | CStill _ h x => old m h /\ stored m x
  | CSwept _ h | CHold h (S _) _ | CRead h _ _ _ => old m h
  | _ => True
  end.

(** The part of it that [tinv] does not say. *)
Definition seen (m : mem P) (x : pc P) : Prop :=
  match x with
  | PTurn _ _ k | CTurn _ _ k => N.of_nat k <= c
  | PStale _ _ x | PFenced _ _ x | PCheck _ _ x | PStill _ _ x | POldest _ _ x _ => stored m x
  | CStale _ _ x | CFenced _ _ x | CCheck _ _ x | CStill _ _ x => stored m x
  | _ => True
  end.

Lemma turns_stored m Q g j : ginv c m Q g -> j < c -> stored m (turns m j).
Proof.
  intros G L. destruct (g_own _ _ _ _ G j L) as [A B]. split; [exact A|].
  set (u := pos (turns m j)) in *. pose proof (g_ord _ _ _ _ G).
  destruct (N.le_gt_cases c u) as [M|M]; [|lia].
  pose proof (g_lo _ _ _ _ G (u - c)) as K.
  assert ((u - c) mod c = j) as E.
  { rewrite <- B. rewrite <- (slot_lap c Hc (u - c)). f_equal. lia. }
  rewrite E in K. fold u in K. specialize (K ltac:(lia)). lia.
Qed.

Lemma known_of m Q g p x l : ginv c m Q g -> tinv c m g p x l -> seen m x -> known m x.
Proof.
  intros G T S. pose proof (g_ord _ _ _ _ G) as O. pose proof (g_cap _ _ _ _ G) as Cap.
  unfold old. destruct x; cbn in *; auto; split_all; unfold ticketed, clears, past in *; split_all;
    repeat split; auto; try lia;
    try (match goal with U : stored _ _ |- _ => destruct U; solve [auto] end).
  - destruct todo as [|y todo]; [exact I|].
    match goal with F : fills _ _ _ _ _ _ |- _ => destruct F as [F1 F2]; specialize (F2 0%nat _ eq_refl) end.
    cbn in F2. split_all. split; [exact F1|]. change (N.of_nat 0) with 0 in *. lia.
  - match goal with F : fills _ _ _ _ _ _ |- _ => apply F end.
  - match goal with F : fills _ _ _ _ _ _ |- _ => destruct F as [F1 F2]; specialize (F2 0%nat _ eq_refl) end.
    cbn in F2. split_all. change (N.of_nat 0) with 0 in *. lia.
  - destruct k; [exact I|]. destruct x as [|v x]; [discriminate|].
    match goal with F : empties _ _ _ _ _ _ |- _ =>
      destruct F as [F1 F2]; specialize (F2 0%nat _ eq_refl) end.
    cbn in F2. split_all. split; [exact F1|]. change (N.of_nat 0) with 0 in *. lia.
  - match goal with F : empties _ _ _ _ _ _ |- _ => apply F end.
  - match goal with F : empties _ _ _ _ _ _ |- _ =>
      destruct F as [F1 F2]; specialize (F2 0%nat _ eq_refl) end.
    cbn in F2. split_all. change (N.of_nat 0) with 0 in *. lia.
Qed.

Lemma tp_grows m x k a x' : tstep P m x k = Some (a, x') ->
  tp (apply a m) = tp m + match a, x with CasPush true _ _, PTurn _ _ n => N.of_nat n | _, _ => 0 end.
Proof.
  intros H. destruct k as [k j| |].
  - destruct k; destruct x as [| |cs t [|i]| | | | | | | | | |t [|[v|] todo] n|t todo n| |n h [|i]
      | | | | | | |h [|i] got|h v i got| | |]; cbn -[place_eqb phase_eqb] in H; try discriminate H;
      unfold push_look, pop_look, push_ticket, pop_ticket in H; cbn -[place_eqb phase_eqb] in H;
      repeat match type of H with
      | context [if ?b then _ else _] => destruct b eqn:?; try discriminate H
      end; inv H; cbn; rewrite ?N.add_0_r; auto.
    all: try (match goal with E : place_eqb _ _ = true |- _ => apply place_eqb_spec in E; rewrite E end;
      reflexivity).
  - destruct x as [| | | | | | | | | | | |t [|[v|] todo] n| | | | | | | | | | | | | |]; cbn in H;
      try discriminate H. inv H. cbn. lia.
  - destruct x as [| | | | | | | | | | | | | | | | | | | | | |h [|i] got| | | |]; cbn in H;
      try discriminate H. inv H. cbn. lia.
Qed.

Lemma stored_later (m m' : mem P) x : tp m <= tp m' -> stored m x -> stored m' x.
Proof. intros L (A & B). split; [exact A|lia]. Qed.

Lemma seen_later (m m' : mem P) x : tp m <= tp m' -> seen m x -> seen m' x.
Proof. intros L. destruct x; cbn; auto; apply stored_later; exact L. Qed.

Lemma seen_step m Q g x k a x' :
  ginv c m Q g -> seen m x -> tstep P m x k = Some (a, x') -> seen (apply a m) x'.
Proof.
  intros G S H. pose proof (tp_grows _ _ _ _ _ H) as L.
  apply seen_later with (m := m); [lia|]. clear L.
  assert (forall i, stored m (turns m (i mod c))) as St.
  { intros i. eapply turns_stored; eauto. apply N.mod_lt. lia. }
  destruct k as [k j| |].
  - destruct k; destruct x as [| |cs t [|i]| | | | | | | | | |t [|[v|] todo] n|t todo n| |n h [|i]
      | | | | | | |h [|i] got|h v i got| | |]; cbn -[place_eqb phase_eqb] in H; try discriminate H;
      unfold push_look, pop_look, push_ticket, pop_ticket in H; cbn -[place_eqb phase_eqb] in H;
      repeat match goal with
      | H : context [?i =? ?l] |- _ => destruct (N.eqb_spec i l); try discriminate H; cbn [andb] in H
      | H : context [if ?b then Some _ else None] |- _ => destruct b eqn:?; try discriminate H
      | H : context [if ?b then None else Some _] |- _ => destruct b eqn:?; try discriminate H
      | H : context [if ?b then Some _ else Some _] |- _ => destruct b eqn:?
      end; subst; inv H; cbn in S |- *; auto.
    all: unfold push_saw, pop_saw, holding, taking;
      repeat match goal with
      | |- seen _ (if ?b then _ else _) => destruct b
      | |- seen _ (match ?l with _ => _ end) => destruct l
      end; cbn; auto; try lia; try apply St.
    all: match goal with N : (_ + N.of_nat ?n) mod c <> _ |- _ =>
      destruct (N.eq_dec (N.of_nat n) c) as [E|]; [|lia];
      exfalso; apply N; rewrite E; apply (slot_lap c Hc) end.
  - destruct x as [| | | | | | | | | | | |t [|[v|] todo] n| | | | | | | | | | | | | |]; cbn in H;
      try discriminate H. inv H. exact I.
  - destruct x as [| | | | | | | | | | | | | | | | | | | | | |h [|i] got| | | |]; cbn in H;
      try discriminate H. inv H. exact I.
Qed.

Definition enc_acc (a : acc P) : acc words :=
  match a with
  | LoadPush t => @LoadPush words (W t)
  | LoadPop t => @LoadPop words (W t)
  | LoadTurn j x => @LoadTurn words j (enc_turn x)
  | CasPush b t u => @CasPush words b (W t) (W u)
  | CasPop b t u => @CasPop words b (W t) (W u)
  | OrPush t u => @OrPush words (W t) (W u)
  | StoreTurn j x => @StoreTurn words j (enc_turn x)
  | LoadPayload j v => LoadPayload j v
  | StorePayload j v => StorePayload j v
  | Fence => Fence
  end.

Lemma apply_enc w m a : same_mem w m -> same_mem (apply (enc_acc a) w) (apply a m).
Proof.
  intros S. destruct S. destruct a as [| | |[] ? ?|[] ? ?|? ?|j x| |j v|]; cbn; constructor; cbn; auto.
  - intros i L. unfold upd. destruct (i =? j); auto.
  - intros i. unfold upd. destruct (i =? j); auto.
Qed.

Local Arguments word_of : simpl never.
Local Arguments enc_turn : simpl never.
Local Arguments phase_word : simpl never.
Local Arguments limit : simpl never.
Local Arguments index_of : simpl never.
Local Arguments next_word : simpl never.
Local Arguments lap_on_word : simpl never.
Local Arguments lap_behind_word : simpl never.
Local Arguments unsealed : simpl never.
Local Arguments wrap : simpl never.
Local Arguments place_eqb : simpl never.
Local Arguments phase_eqb : simpl never.
Local Arguments N.land : simpl never.
Local Arguments N.lor : simpl never.
Local Arguments SEALED : simpl never.

Section Beside.
Variables (w : mem words) (m : mem P) (Q : tid -> pc P) (g : ghost).
Hypothesis S : same_mem w m.
Hypothesis G : ginv c m Q g.
Hypothesis Room : tp m + 2 * c < limit.

Lemma r_index t : index_of (W t) = snd t mod c.
Proof. apply word_index. lia. Qed.

Lemma r_tick (a b : place) : snd a <= tp m + c -> snd b <= tp m + c -> (W a =? W b) = place_eqb a b.
Proof. intros. apply word_eqb; lia. Qed.

Lemma r_go (x : turn P) (t : place) ph : stored m x -> snd t <= tp m + c ->
  (enc_turn x =? wrap (W t + phase_word ph)) = place_eqb (fst x) t && phase_eqb (snd x) ph.
Proof.
  intros (A & B) C. rewrite go_word by lia.
  apply (turn_eqb_words x (t, ph)); [exact A| |]; cbn [fst snd]; lia.
Qed.

Lemma r_turn (x y : turn P) : stored m x -> stored m y ->
  (enc_turn x =? enc_turn y) = place_eqb (fst x) (fst y) && phase_eqb (snd x) (snd y).
Proof. intros (A & B) (C & D). apply turn_eqb_words; auto; lia. Qed.

Lemma r_behind (t : place) (x : turn P) : old m t -> stored m x ->
  lap_behind_word (W t) (enc_turn x) = (pos x + c =? snd t).
Proof.
  intros (A & B) (C & D). unfold enc_turn. rewrite !word_cases, A, C, !N.add_0_r.
  apply lap_behind_place; lia.
Qed.

Lemma r_next (t : place) n : old m t -> N.of_nat n <= c ->
  next_word (W t) n = W (false, snd t + N.of_nat n).
Proof.
  intros (A & B) C. rewrite !word_cases, A. cbn [fst snd]. rewrite !N.add_0_r.
  apply next_place; lia.
Qed.

Lemma r_lap (t : place) : old m t -> lap_on_word (W t) = W (false, snd t + c).
Proof.
  intros (A & B). rewrite !word_cases, A. cbn [fst snd]. rewrite !N.add_0_r. apply lap_on_place. lia.
Qed.

Lemma r_store (t : place) ph : snd t <= tp m + c -> wrap (W t + phase_word ph) = enc_turn (t, ph).
Proof. intros A. apply go_word. lia. Qed.

Lemma old_pop : old m (pop m).
Proof. split; [apply (g_pop _ _ _ _ G)|apply (g_ord _ _ _ _ G)]. Qed.

Lemma stored_at i : stored m (turns m (i mod c)).
Proof. eapply turns_stored; eauto. apply N.mod_lt. lia. Qed.

Lemma turns_at i : turns w (i mod c) = enc_turn (turns m (i mod c)).
Proof. apply (s_turns _ _ S). apply N.mod_lt. lia. Qed.

Lemma r_push_saw cs (t : place) i : snd t <= tp m ->
  push_saw words cs (W t) (enc_turn (turns m (i mod c))) =
  enc_pc (push_saw P cs t (turns m (i mod c))).
Proof.
  intros L. unfold push_saw. cbn. rewrite r_go by (try apply stored_at; lia).
  rewrite word_sealed_bit by lia.
  destruct (_ && _); [reflexivity|]. destruct (fst t); reflexivity.
Qed.

Lemma r_pop_saw n (h : place) i : old m h ->
  pop_saw words n (W h) (enc_turn (turns m (i mod c))) = enc_pc (pop_saw P n h (turns m (i mod c))).
Proof.
  intros (A & B). unfold pop_saw. cbn. rewrite r_go by (try apply stored_at; lia).
  destruct (_ && _); reflexivity.
Qed.

Lemma r_holding (t : place) todo n : old m t ->
  holding words (next_word (W t) 1) todo n = enc_pc (holding P (false, snd t + N.of_nat 1) todo n).
Proof. intros O. rewrite r_next by (auto; lia). destruct todo; reflexivity. Qed.

Lemma r_taking (h : place) k got : old m h ->
  taking words (next_word (W h) 1) k got = enc_pc (taking P (false, snd h + N.of_nat 1) k got).
Proof. intros O. rewrite r_next by (auto; lia). destruct k; reflexivity. Qed.

Ltac side := solve [ assumption | apply stored_at | apply old_pop | lia
  | match goal with U : old _ ?t |- old _ ?t => exact U end
  | match goal with U : old _ ?t |- snd ?t <= _ => destruct U; lia end
  | cbn; match goal with U : old _ ?t |- context [snd ?t] => destruct U; lia end
  | cbn; pose proof old_pop as [? ?]; lia ].
Ltac rewrites := repeat first
  [ rewrite (s_push _ _ S) | rewrite (s_pop _ _ S) | rewrite r_index | rewrite turns_at
  | rewrite (s_payloads _ _ S) | rewrite r_holding by side | rewrite r_taking by side
  | rewrite r_next by side | rewrite r_lap by side | rewrite r_go by side | rewrite r_turn by side
  | rewrite r_behind by side | rewrite r_tick by side
  | rewrite r_push_saw by side | rewrite r_pop_saw by side
  | rewrite word_bare by side | rewrite word_mark by side | rewrite word_sealed_bit by side ].

Ltac which_slot := try match goal with
  | |- context [?j =? ?u mod c] => destruct (N.eqb_spec j (u mod c)); [subst j|]
  end.

Lemma words_step x k : known m x ->
  (forall j, k <> At LOOK_TURN j) ->
  tstep words w (enc_pc x) k =
  match tstep P m x k with Some (a, x') => Some (enc_acc a, enc_pc x') | None => None end.
Proof.
  intros Kn NL. destruct k as [k j| |].
  - destruct k; try (exfalso; apply (NL j); reflexivity);
      destruct x as [| |cs t [|i]| | | | | | | | | |t [|[v|] todo] n|t todo n| |n h [|i]
      | | | | | | |h [|i] got|h v i got| | |]; try reflexivity;
      cbn in Kn |- *; split_all;
      try (match goal with U : _ <> O -> fst ?t = false, L : snd ?t <= _ |- _ =>
        assert (old m t) by (split; [apply U; discriminate|exact L]) end);
      unfold push_look, pop_look, push_ticket, pop_ticket; cbn.
    all: try (rewrites; reflexivity).
    all: rewrites; cbn [fst snd]; which_slot;
      cbn [andb fst snd]; rewrites; cbn [fst snd]; try reflexivity.
    all: which_slot;
      cbn [andb fst snd]; rewrites; cbn [fst snd]; try reflexivity.
    all: try (rewrite r_store by side; reflexivity).
    all: repeat match goal with |- context [if ?b then _ else _] => destruct b; try reflexivity end.
    all: try reflexivity.
  - destruct x as [| | | | | | | | | | | |t [|[v|] todo] n| | | | | | | | | | | | | |]; try reflexivity.
    cbn. rewrites. reflexivity.
  - destruct x as [| | | | | | | | | | | | | | | | | | | | | |h [|i] got| | | |]; try reflexivity.
    cbn. rewrites. reflexivity.
Qed.
End Beside.

(** * Counted *)

Record counted := { inner : cstate words; pushed : N }.

(** Places that a step claims for a push. *)
Definition claims (a : acc words) (x : pc words) : N :=
  match a, x with CasPush true _ _, PTurn _ _ n => N.of_nat n | _, _ => 0 end.

Inductive wtrans : counted -> option ev -> counted -> Prop :=
| w_call s p o : pcs (inner s) p = Idle -> asks o = true ->
    wtrans s (Some (Call p o))
      {| inner := {| memory := memory (inner s); pcs := upd (pcs (inner s)) p (start words o) |};
         pushed := pushed s |}
| w_step s p k a x :
    tstep words (memory (inner s)) (pcs (inner s) p) k = Some (a, x) ->
    pushed s + claims a (pcs (inner s) p) + 2 * c < limit ->
    wtrans s None
      {| inner := {| memory := apply a (memory (inner s)); pcs := upd (pcs (inner s)) p x |};
         pushed := pushed s + claims a (pcs (inner s) p) |}
| w_ret s p r : answer words (pcs (inner s) p) = Some r ->
    wtrans s (Some (Ret p r))
      {| inner := {| memory := memory (inner s); pcs := upd (pcs (inner s)) p Idle |};
         pushed := pushed s |}.

(** The ring as [init] leaves it, up to its first [2^60 - 2 c] places. *)
Definition word_ring : lts ev :=
  {| state := counted;
     initial := fun s => pushed s = 0 /\ initial (ring words 0 (fun j => j * ONE)) (inner s);
     trans := wtrans |}.

Definition beside (ws : counted) (s : cstate P) : Prop :=
  same_mem (memory (inner ws)) (memory s) /\ (forall p, pcs (inner ws) p = enc_pc (pcs s p)) /\
  (exists a, R c s a) /\ (forall p, seen (memory s) (pcs s p)) /\ pushed ws = tp (memory s).

Lemma enc_idle x : enc_pc x = Idle -> x = Idle.
Proof. destruct x; cbn; congruence. Qed.

Lemma enc_answer x : answer words (enc_pc x) = answer P x.
Proof. destruct x; reflexivity. Qed.

Lemma enc_start o : enc_pc (start P o) = start words o.
Proof. destruct o; reflexivity. Qed.

Lemma enc_upd (f : tid -> pc words) (f' : tid -> pc P) p x :
  (forall q, f q = enc_pc (f' q)) -> forall q, upd f p (enc_pc x) q = enc_pc (upd f' p x q).
Proof. intros E q. unfold upd. destruct (q =? p); auto. Qed.

Lemma enc_claims a x : claims (enc_acc a) (enc_pc x) =
  match a, x with CasPush true _ _, PTurn _ _ n => N.of_nat n | _, _ => 0 end.
Proof. destruct a as [| | |[]| | | | | |]; destruct x; reflexivity. Qed.

Lemma R_later s l s' : (exists a, R c s a) -> ctrans P s l s' -> exists a, R c s' a.
Proof.
  intros [a HR] T. destruct (fsim_step (turn_fsim c Hc) _ _ _ _ HR T) as (a' & _ & HR'). eauto.
Qed.

Theorem words_fsim : c <= 2 ^ 48 -> fsim word_ring (turn_ring c) beside.
Proof.
  intros Small. constructor.
  - intros [w n] (N0 & Pu & Po & Tu & Pc). cbn in N0, Pu, Po, Tu, Pc.
    set (s0 := {| memory := {| push := ((false, 0) : tick P); pop := ((false, 0) : tick P);
                               turns := fun j => ((false, j), Free) : Model.turn P;
                               payloads := payloads (memory w) |};
                  pcs := fun _ => Idle |} : cstate P).
    assert (initial (turn_ring c) s0) as I0 by (repeat split).
    assert (W (false, 0) = 0) as W0.
    { rewrite word_open. unfold at_place. rewrite N.div_0_l, N.mod_0_l by lia. reflexivity. }
    exists s0. split; [exact I0|]. split; [|split; [|split; [|split]]].
    + constructor; cbn; [rewrite W0; exact Pu|rewrite W0; exact Po| |reflexivity].
      intros j L. rewrite Tu. unfold enc_turn. cbn [fst snd]. rewrite word_open.
      unfold at_place. rewrite N.div_small, N.mod_small by exact L.
      unfold wrap, ONE, phase_word. rewrite N.mod_small; [lia|].
      replace (2 ^ 64) with (2 ^ 48 * 2 ^ 16) by reflexivity. nia.
    + intros p. cbn. apply Pc.
    + destruct (fsim_init (turn_fsim c Hc) _ I0) as (a & _ & HR). eauto.
    + intros p. exact I.
    + exact N0.
  - intros ws l ws' s (S & Pc & HR & Sn & Nu) T. destruct T as [ws p o E A|ws p k a x E Guard|ws p r E].
    + rewrite Pc in E. apply enc_idle in E.
      pose proof (c_call P s p o E A) as T. eexists. split.
      { eapply exec_vis; [exact T|constructor]. }
      split; [exact S|]. split; [cbn; rewrite <- enc_start; now apply enc_upd|].
      split; [eapply R_later; eauto|]. split; [|exact Nu].
      intros q. cbn. unfold upd. destruct (q =? p); [destruct o; exact I|apply Sn].
    + rewrite Pc in E. pose proof HR as (na & g & G & _ & _ & K).
      assert (tp (memory s) + 2 * c < limit) as Room by (rewrite <- Nu; lia).
      assert (known (memory s) (pcs s p)) as Kn by (eapply known_of; eauto).
      assert (exists a0 x0, tstep P (memory s) (pcs s p) k = Some (a0, x0) /\ x = enc_pc x0 /\
        same_mem (apply a (memory (inner ws))) (apply a0 (memory s)) /\
        claims a (pcs (inner ws) p) = claims (enc_acc a0) (pcs (inner ws) p)) as
        (a0 & x0 & T & -> & S' & Cl).
      { assert ((exists j, k = At LOOK_TURN j) \/ forall j, k <> At LOOK_TURN j) as [[j ->]|NL].
        { destruct k as [[] j| |]; try (right; intros; discriminate). left. eauto. }
        - (* a hint: whatever it reads *)
          cbn in E. exists (LoadTurn j (turns (memory s) j)), (pcs s p). cbn.
          assert (idle words (enc_pc (pcs s p)) = idle P (pcs s p)) as Ei
            by (destruct (pcs s p); reflexivity).
          rewrite Ei in E. destruct (idle P (pcs s p)); inv E. auto.
        - rewrite (words_step _ _ _ _ S G Room _ _ Kn NL) in E.
          destruct (tstep P (memory s) (pcs s p) k) as [[a0 x0]|]; inv E.
          exists a0, x0. repeat split; auto; apply apply_enc; exact S. }
      pose proof (c_step P s p k a0 x0 T) as T'. eexists. split.
      { eapply exec_tau; [exact T'|constructor]. }
      pose proof (tp_grows _ _ _ _ _ T) as Gr.
      split; [exact S'|]. split; [cbn; now apply enc_upd|]. split; [eapply R_later; eauto|]. split.
      * intros q. cbn. unfold upd. destruct (N.eqb_spec q p) as [->|N].
        -- eapply seen_step; eauto.
        -- apply seen_later with (m := memory s); [lia|apply Sn].
      * cbn. rewrite Cl, Nu, Gr, Pc, enc_claims. reflexivity.
    + rewrite Pc, enc_answer in E.
      pose proof (c_ret P s p r E) as T. eexists. split.
      { eapply exec_vis; [exact T|constructor]. }
      split; [exact S|]. split; [cbn; now apply (enc_upd _ _ _ Idle)|].
      split; [eapply R_later; eauto|]. split; [|exact Nu].
      intros q. cbn. unfold upd. destruct (q =? p); [exact I|apply Sn].
Qed.
End Words.

(** The main theorem; 2^48 is the largest capacity that the Rust code takes. *)
Theorem words_linearizable : forall c, 1 <= c <= 2 ^ 48 -> refines (word_ring c) (atomic_queue c).
Proof.
  intros c [Lo Hi]. eapply refines_trans; [eapply fsim_refines, words_fsim; eauto|].
  now apply turn_linearizable.
Qed.
