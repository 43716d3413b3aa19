//! What every strategy does, whatever its engine: the bodies run for each row of the strategy
//! table, over the typed face and over the erased one. A new row needs no edit here.
//!
//! Shows: answers, order, drops and errors, on one thread or with one that waits.
//! Cannot show: races (`stress.rs`, `model_loom.rs`, `model_shuttle.rs`).

mod support;

#[path = "conformance/close.rs"]
mod close;
#[path = "conformance/drops.rs"]
mod drops;
#[path = "conformance/erased.rs"]
mod erased;
#[path = "conformance/erased_life.rs"]
mod erased_life;
#[path = "conformance/erased_slots.rs"]
mod erased_slots;
#[path = "conformance/handles.rs"]
mod handles;
#[path = "conformance/one_engine.rs"]
mod one_engine;
#[path = "conformance/order.rs"]
mod order;

use turtle_buffers::strategy::Engine;
use turtle_buffers::{Consumer, Producer, Ring};

/// Around powers of two, and one lap that is longer than a page of slots.
const CAPACITIES: [usize; 8] = [1, 2, 3, 5, 7, 8, 100, 1024];

fn one_of_each<T: Send, S: Engine>(
    capacity: usize,
) -> (Ring<T, S>, Producer<T, S>, Consumer<T, S>) {
    let ring = support::ring(capacity);
    let sides = (ring.producer().unwrap(), ring.consumer().unwrap());
    (ring, sides.0, sides.1)
}

/// One test for each body: `file::body` over the engine.
macro_rules! typed {
    ($engine:ty, $patience:expr; $($file:ident { $($body:ident,)+ })+) => {$(
        mod $file {
            $(#[test] fn $body() {
                crate::support::set_patience($patience);
                crate::$file::$body::<$engine>();
            })+
        }
    )+};
}

macro_rules! typed_bodies {
    ($engine:ty, $patience:expr) => {
        typed! { $engine, $patience;
            order {
                capacity_is_exact,
                values_come_out_in_order_whatever_the_fill,
                a_batch_fills_what_room_there_is,
                partial_batches_say_how_many,
                an_empty_batch_is_done_at_once,
                slices_are_copied_in_order_over_the_end,
                a_claim_is_invisible_until_it_is_committed,
                a_claim_can_be_built_in_place,
                an_abandoned_claim_leaves_no_element,
                abandoned_claims_between_elements_are_skipped,
                a_full_ring_refuses_a_claim,
                a_peek_reads_in_place_and_keeps_the_slot,
                every_kind_of_call_keeps_one_order,
                the_ring_says_which_engine_it_is,
            }
            close {
                closing_drains_before_it_says_closed,
                every_kind_of_push_is_refused_after_closing,
                a_claim_held_across_closing_is_popped_or_refused,
                a_refused_commit_in_place_keeps_the_claim_and_its_value,
                closing_wakes_everyone_who_waits,
                a_zero_timeout_is_a_try,
                a_timeout_ends_a_wait_and_not_too_early,
                a_wait_ends_when_the_other_side_moves,
                an_interrupt_ends_waits_once,
                a_blocked_batch_goes_in_whole,
                iterating_ends_with_the_ring,
            }
            drops {
                the_last_handle_drops_what_is_left_once,
                what_was_popped_is_dropped_by_its_owner,
                batches_drop_nothing_twice,
                a_closed_ring_still_drops_what_is_left,
                an_abandoned_claim_drops_nothing,
                a_panicking_drop_leaks_nothing_else,
                a_panicking_drop_in_a_peek_gives_the_slot_back,
                a_batch_whose_iterator_breaks_loses_nothing,
                a_blocking_batch_ends_with_its_iterator,
                zero_sized_elements_are_counted,
                over_aligned_elements_lie_where_they_must,
                large_elements_arrive_whole,
                elements_need_not_be_sync,
            }
            handles {
                each_side_has_as_many_handles_as_promised,
                a_new_handle_goes_on_where_the_old_one_was,
                handles_outlive_the_ring_they_came_from,
                several_handles_of_a_side_share_one_order,
                statistics_count_what_happened,
                every_part_can_be_printed,
                impossible_capacities_are_errors,
            }
        }
    };
}

macro_rules! erased {
    ($strategy:expr => $($file:ident { $($body:ident,)+ })+) => {$(
        mod $file {
            $(#[test] fn $body() { crate::$file::$body($strategy); })+
        }
    )+};
}

macro_rules! erased_bodies {
    ($strategy:expr) => {
        erased! { $strategy =>
            erased {
                capacity_is_exact_for_every_size,
                elements_need_no_alignment_of_the_caller,
                batches_are_partial_or_whole,
                records_keep_their_length,
                a_record_that_does_not_fit_stays,
                plain_and_record_calls_do_not_mix,
                the_hook_sees_what_is_left_once,
                impossible_options_are_errors,
            }
            erased_slots {
                a_claimed_slot_is_committed_or_abandoned_once,
                a_claimed_record_is_committed_with_its_length,
                a_peeked_slot_is_released_once,
                addresses_that_are_no_slot_are_refused,
            }
            erased_life {
                closing_drains_before_it_says_closed,
                waits_time_out_and_are_interrupted,
                waits_end_when_the_other_side_moves,
                threads_take_and_leave_their_sides,
                explicit_handles_obey_the_arity,
                the_event_descriptor_tells_of_elements,
                statistics_count_what_happened,
            }
        }
    };
}

macro_rules! suite {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {$(
        mod $module {
            typed_bodies!(turtle_buffers::strategy::$engine, None);
            erased_bodies!(turtle_buffers::Strategy::$variant);
        }
    )+};
}
turtle_buffers::for_each_strategy!(suite);

/// The engine chosen at run time is one more engine to its users.
mod any {
    typed_bodies!(turtle_buffers::strategy::Any, None);
}

/// Every call lets others help.
mod wait_free_announced {
    typed_bodies!(turtle_buffers::strategy::WaitFree, Some(0));
}

/// Each call tries once alone.
mod wait_free_impatient {
    typed_bodies!(turtle_buffers::strategy::WaitFree, Some(1));
}
