//! Each kind of error by hand, and beside it a history that only just has none.
//!
//! A history is written `thread operation call-return; …`; without a return it never returned.

use turtle_buffers::check::Op::{self, *};
use turtle_buffers::check::{Event, History, PENDING, Spec, Unexplained, check, exhaustive};

use super::{list, name};

fn operation(words: &[&str]) -> Op {
    match words {
        ["push", "full"] => PushFull,
        ["push", "busy"] => PushBusy,
        ["push", "closed"] => PushClosed,
        ["push", "abandoned"] => PushAbandoned,
        ["push", value] => Push(value.parse().unwrap()),
        ["pop", "empty"] => PopEmpty,
        ["pop", "busy"] => PopBusy,
        ["pop", "closed"] => PopClosed,
        ["pop", "?"] => PopUnknown,
        ["pop", value] => Pop(value.parse().unwrap()),
        ["close"] => Close,
        _ => panic!("no such operation: {words:?}"),
    }
}

fn event(text: &str) -> Event {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [thread, words @ .., interval] = &words[..] else {
        panic!("not an event: {text}")
    };
    let (call, ret) = interval.split_once('-').unwrap();
    Event {
        thread: thread.parse().unwrap(),
        op: operation(words),
        call: call.parse().unwrap(),
        ret: if ret.is_empty() {
            PENDING
        } else {
            ret.parse().unwrap()
        },
    }
}

fn history(text: &str) -> History {
    text.split(';')
        .filter(|event| !event.trim().is_empty())
        .map(event)
        .collect()
}

/// Both checkers reject it, the fast one for the named reason.
#[track_caller]
fn rejected(reason: &str, spec: &Spec, text: &str) {
    let history = history(text);
    match check(&history, spec) {
        Ok(_) => panic!("accepted, but is {reason}:\n{}", list(&history)),
        Err(violation) => {
            assert_eq!(name(&violation), reason, "{violation}");
            let told = violation.to_string();
            assert!(
                told.lines().count() >= 2,
                "a finding names its events:\n{told}"
            );
        }
    }
    if reason != "Ambiguous" {
        assert_eq!(
            exhaustive(&history, spec),
            Err(Unexplained::NoOrder),
            "{}",
            list(&history)
        );
    }
}

/// Both checkers accept it.
#[track_caller]
fn accepted(spec: &Spec, text: &str) {
    let history = history(text);
    if let Err(violation) = check(&history, spec) {
        panic!("rejected: {violation}\n{}", list(&history));
    }
    let explained = exhaustive(&history, spec).is_ok();
    assert!(
        explained,
        "the exhaustive search rejects:\n{}",
        list(&history)
    );
}

#[test]
fn values_come_from_pushes() {
    let any = Spec::unbounded();
    rejected("NeverPushed", &any, "0 push 1 0-1; 1 pop 2 2-3");
    rejected("NeverPushed", &any, "0 push 2 0-1; 1 pop 1 2-3");
    rejected("PoppedBeforePush", &any, "1 pop 1 0-1; 0 push 1 2-3");
    accepted(&any, "1 pop 1 0-2; 0 push 1 1-3");
    accepted(&any, "1 pop 1 0-2; 0 push 1 2-3"); // equal stamps: perhaps at once
    accepted(&any.initial([7]), "1 pop 7 0-1");
}

#[test]
fn values_come_out_once() {
    let any = Spec::unbounded();
    rejected(
        "PoppedTwice",
        &any,
        "0 push 1 0-1; 1 pop 1 2-3; 2 pop 1 2-3",
    );
    rejected("PoppedTwice", &any, "0 push 1 0-1; 1 pop 1 2-; 2 pop 1 2-3");
    accepted(&any, "0 push 1 0-1; 1 pop ? 2-; 2 pop 1 2-3");
}

#[test]
fn values_come_out_in_order() {
    let any = Spec::unbounded();
    rejected(
        "OrderInversion",
        &any,
        "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-5; 2 pop 1 6-7",
    );
    accepted(&any, "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-6; 3 pop 1 5-7");
    accepted(&any, "0 push 1 0-2; 1 push 2 1-3; 2 pop 2 4-5; 2 pop 1 6-7");
    // Overtaken for good: 2 is out, 1 never came, and nobody may have taken it in time.
    rejected(
        "OrderInversion",
        &any,
        "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-5",
    );
    rejected(
        "OrderInversion",
        &any,
        "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-5; 3 pop ? 6-",
    );
    accepted(&any, "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-5; 3 pop ? 4-");
    // One unknown pop cannot account for two.
    let three = "0 push 1 0-1; 1 push 2 2-3; 0 push 3 4-5; 2 pop 3 6-7; 3 pop ? 0-";
    rejected("OrderInversion", &any, three);
    accepted(&any, &format!("{three}; 3 pop ? 0-"));
    // A push that never returned took effect if its value came out; a pop that never returned
    // took its value all the same.
    rejected(
        "OrderInversion",
        &any,
        "0 push 1 0-1; 1 push 2 2-; 2 pop 2 3-4",
    );
    accepted(&any, "0 push 1 0-1; 1 push 2 2-; 2 pop 1 3-4");
    rejected(
        "OrderInversion",
        &any,
        "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-",
    );
    accepted(&any, "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-; 3 pop 1 9-");
    // What was inside at the start comes first, in its order.
    let two = any.initial([8, 9]);
    rejected("OrderInversion", &two, "0 pop 9 0-1; 0 pop 8 2-3");
    rejected(
        "OrderInversion",
        &two,
        "0 push 1 0-1; 0 pop 8 2-3; 0 pop 1 4-5",
    );
    accepted(&two, "0 pop 9 0-2; 1 pop 8 1-3");
}

#[test]
fn batches_keep_their_order() {
    let any = Spec::unbounded();
    let batch = "0 push 1 0-9; 0 push 2 0-9";
    rejected(
        "OrderCycle",
        &any,
        &format!("{batch}; 2 pop 2 4-5; 2 pop 1 6-7"),
    );
    accepted(&any, &format!("{batch}; 2 pop 1 4-5; 2 pop 2 6-7"));
    accepted(&any, "0 push 1 0-9; 1 push 2 0-9; 2 pop 2 4-5; 2 pop 1 6-7");
    rejected(
        "OrderCycle",
        &any,
        &format!("{batch}; 2 pop 2 4-9; 2 pop 1 4-9"),
    );
    accepted(&any, &format!("{batch}; 2 pop 1 4-9; 2 pop 2 4-9"));
    accepted(&any, &format!("{batch}; 2 pop 2 4-9; 3 pop 1 4-9"));
    // Others may come between, but these four batches make a circle: 1 2 3 4 1.
    let four = format!("{batch}; 1 push 3 0-9; 1 push 4 0-9; 2 pop 2 10-19; 2 pop 3 10-19");
    rejected(
        "OrderCycle",
        &any,
        &format!("{four}; 3 pop 4 10-19; 3 pop 1 10-19"),
    );
    accepted(&any, &format!("{four}; 3 pop 1 10-19; 3 pop 4 10-19"));
    // 1 was out before 2 went in, and 3 was in front of 1; so 3 came out before 2 did.
    let early = "0 push 3 0-12; 0 push 1 0-12; 2 push 2 10-11; 4 pop 1 5-6";
    rejected(
        "OrderCycle",
        &any,
        &format!("{early}; 3 pop 2 4-20; 3 pop 3 4-20"),
    );
    accepted(&any, &format!("{early}; 3 pop 3 4-20; 3 pop 2 4-20"));
    // The later push of a batch took effect, so the earlier one did: 1 is inside.
    rejected("OrderCycle", &any, "0 push 1 0-; 0 push 2 0-; 1 pop 2 1-2");
    accepted(
        &any,
        "0 push 1 0-; 0 push 2 0-; 1 pop 1 1-2; 1 pop empty 3-4",
    );
    // 9 was in early and 2 came out before it, and 1 before 2; but 1 was popped late.
    let late =
        "3 push 9 0-1; 0 push 1 0-20; 0 push 2 0-20; 1 pop 2 2-20; 1 pop 9 2-20; 4 pop empty 5-6";
    rejected("FalseEmpty", &any, &format!("{late}; 2 pop 1 10-20"));
    accepted(&any, &format!("{late}; 2 pop 1 6-20"));
}

#[test]
fn empty_is_true() {
    let any = Spec::unbounded();
    rejected("FalseEmpty", &any, "0 push 1 0-1; 1 pop empty 2-3");
    rejected(
        "FalseEmpty",
        &any,
        "0 push 1 0-1; 1 pop empty 2-3; 2 pop 1 4-5",
    );
    accepted(&any, "0 push 1 0-2; 1 pop empty 2-3");
    accepted(&any, "0 push 1 0-1; 1 pop empty 2-4; 2 pop 1 3-5");
    accepted(&any, "0 push 1 0-; 1 pop empty 2-3");
    // 1 and 2 relieve each other, so there was always one of them.
    let relay = "0 push 1 0-1; 0 push 2 4-5; 1 pop 2 10-11; 2 pop empty 2-9";
    rejected("FalseEmpty", &any, &format!("{relay}; 1 pop 1 6-9"));
    accepted(&any, &format!("{relay}; 1 pop 1 4-9"));
    // Three in a chain: inside from 1 to 7, from 5 to 9, from 8 to 12.
    let chain =
        "0 push 1 0-1; 1 pop 1 7-8; 2 push 2 3-5; 1 pop 2 9-10; 3 push 3 4-8; 1 pop 3 12-13";
    rejected("FalseEmpty", &any, &format!("{chain}; 4 pop empty 2-11"));
    accepted(&any, &format!("{chain}; 4 pop empty 2-12"));
    rejected("FalseEmpty", &any.clone().initial([5]), "0 pop empty 0-0");
    accepted(&any, "0 push 1 0-1; 3 pop ? 3-; 1 pop empty 4-5");
    rejected(
        "FalseEmpty",
        &any,
        "0 push 1 0-1; 0 push 2 2-3; 3 pop ? 3-; 1 pop empty 4-5",
    );
}

/// The published turn ring: ticket 0 was drawn by a thread that stalls, 2 was pushed completely
/// behind it, and a pop that finds slot 0 unwritten answers Empty. `Busy` is the true answer.
#[test]
fn the_turn_rings_false_empty_is_found() {
    let bounded = Spec::bounded(4);
    rejected(
        "FalseEmpty",
        &bounded,
        "0 push 1 0-; 1 push 2 1-2; 2 pop empty 3-4",
    );
    accepted(&bounded, "0 push 1 0-; 1 push 2 1-2; 2 pop busy 3-4");
}

#[test]
fn full_is_true() {
    let two = Spec::bounded(2);
    rejected("FalseFull", &two, "0 push 1 0-1; 1 push full 3-4");
    rejected(
        "FalseFull",
        &two,
        "0 push 1 0-1; 0 push 2 2-5; 1 push full 0-1",
    );
    accepted(&two, "0 push 1 0-1; 0 push 2 2-5; 1 push full 3-4");
    accepted(&two, "0 push 1 0-1; 0 push 2 2-; 1 push full 3-4");
    accepted(
        &two,
        "0 push 1 0-1; 0 push 2 2-5; 2 pop 1 6-7; 1 push full 7-8",
    );
    rejected(
        "FalseFull",
        &two,
        "0 push 1 0-1; 0 push 2 2-5; 2 pop 1 6-7; 1 push full 8-9",
    );
    rejected("FalseFull", &Spec::unbounded(), "1 push full 0-1");
    accepted(&Spec::bounded(0), "1 push full 0-1; 1 pop empty 2-3");
    accepted(
        &two.clone().initial([8, 9]),
        "1 push full 0-1; 0 pop 8 2-3; 0 push 1 4-5",
    );
    rejected(
        "FalseFull",
        &two.initial([8]),
        "1 push full 0-1; 0 pop 8 2-3",
    );
}

#[test]
fn no_more_go_in_than_fit() {
    let one = Spec::bounded(1);
    rejected("OverCapacity", &one, "0 push 1 0-1; 0 push 2 2-3");
    rejected(
        "OverCapacity",
        &one,
        "0 push 1 0-1; 0 push 2 2-3; 1 pop 1 4-5",
    );
    accepted(&one, "0 push 1 0-1; 0 push 2 2-4; 1 pop 1 3-5");
    accepted(&one, "0 push 1 0-1; 0 push 2 2-");
    accepted(&one, "0 push 1 0-1; 0 push 2 2-4; 1 pop ? 3-");
    rejected("OverCapacity", &one.clone().initial([7]), "0 push 1 0-1");
    rejected("OverCapacity", &one.initial([7, 8]), "");
}

#[test]
fn busy_has_a_reason() {
    let two = Spec::bounded(2);
    rejected("UnjustifiedBusy", &two, "0 pop busy 0-1");
    rejected("UnjustifiedBusy", &two, "0 push 1 0-1; 1 pop busy 2-3");
    rejected("UnjustifiedBusy", &two, "1 pop busy 0-1; 0 push 1 2-3");
    accepted(&two, "0 push 1 0-2; 1 pop busy 2-3");
    accepted(&two, "0 push abandoned 0-2; 1 pop busy 2-3");
    accepted(&two, "0 push 1 0-; 1 pop busy 2-3");
    // Neither the own side nor a refused call is a reason.
    rejected("UnjustifiedBusy", &two, "0 push 1 0-5; 1 push busy 2-3");
    rejected("UnjustifiedBusy", &two, "0 pop empty 0-5; 1 push busy 2-3");
    rejected("UnjustifiedBusy", &two, "0 pop busy 0-5; 1 push busy 0-5");
    accepted(&two, "0 push 1 0-1; 0 pop 1 2-5; 1 push busy 3-4");
    accepted(&two, "0 pop ? 2-; 1 push busy 3-4");
}

#[test]
fn closed_is_true() {
    let any = Spec::unbounded();
    rejected("ClosedTooEarly", &any, "0 push closed 0-1");
    rejected("ClosedTooEarly", &any, "0 pop closed 0-1; 1 close 2-3");
    accepted(&any, "0 pop closed 0-2; 1 close 1-");
    accepted(
        &any,
        "1 close 0-1; 1 close 2-3; 0 push closed 4-5; 0 pop closed 6-7",
    );
    rejected("AcceptedAfterClose", &any, "1 close 2-3; 0 push 1 4-5");
    accepted(&any, "1 close 2-3; 0 push 1 3-5");
    // An answer Closed also shows that it was closed, even while the close itself is stuck.
    rejected(
        "AcceptedAfterClose",
        &any,
        "1 close 0-9; 2 push closed 1-2; 0 push 1 3-4",
    );
    accepted(&any, "1 close 0-9; 2 push closed 1-3; 0 push 1 3-4");
    // Everything accepted is popped before anyone hears Closed.
    let closed = "1 close 2-3; 0 push 1 0-5";
    rejected(
        "ClosedWithItems",
        &any,
        &format!("{closed}; 2 pop closed 4-6"),
    );
    rejected(
        "ClosedWithItems",
        &any,
        &format!("{closed}; 2 pop closed 4-6; 2 pop 1 7-8"),
    );
    accepted(&any, &format!("{closed}; 2 pop closed 4-7; 3 pop 1 7-8"));
    accepted(&any, "1 close 2-3; 0 push 1 0-; 2 pop closed 4-6");
    accepted(&any, &format!("{closed}; 3 pop ? 6-; 2 pop closed 4-6"));
    rejected(
        "ClosedWithItems",
        &any,
        &format!("{closed}; 3 pop ? 7-; 2 pop closed 4-6"),
    );
    // Once a close has returned, a push that was accepted had gone in, even if it returned later.
    rejected("FalseEmpty", &any, &format!("{closed}; 2 pop empty 4-4"));
    accepted(&any, "1 close 2-4; 0 push 1 0-5; 2 pop empty 4-4");
}

#[test]
fn nothing_is_lost() {
    let drained = Spec::unbounded().drained();
    rejected("Lost", &drained, "0 push 1 0-1");
    accepted(&Spec::unbounded(), "0 push 1 0-1");
    accepted(&drained, "0 push 1 0-");
    accepted(&drained, "0 push 1 0-1; 1 pop ? 0-");
    rejected("Lost", &drained, "0 push 1 0-1; 0 push 2 2-3; 1 pop ? 0-");
    rejected("Lost", &drained.initial([4]), "");
}

#[test]
fn a_bad_recording_is_told_apart() {
    let any = Spec::unbounded();
    rejected("Ambiguous", &any, "0 push 1 0-1; 0 push 1 2-3; 1 pop 1 4-5");
    rejected("Ambiguous", &any.clone().initial([1]), "0 push 1 2-3");
    rejected("Malformed", &any, "0 push 1 3-2");
    rejected("Malformed", &any, "0 pop empty 3-");
    rejected("Malformed", &any, "0 push 1 4611686018427387904-");
    let many = (0..65)
        .map(|n| Event {
            thread: 0,
            op: Push(n),
            call: n,
            ret: n,
        })
        .collect();
    assert_eq!(
        exhaustive(&many, &any),
        Err(Unexplained::TooLong { events: 65 })
    );
}
