//! The smallest part of a wrong history, and its picture.

use turtle_buffers::check::Op::*;
use turtle_buffers::check::{Event, History, Names, Spec, Timeline, check, exhaustive, smallest};

use super::list;
use super::simulate::{Random, Shape, damage, simulate};

/// Random wrong histories: the part is wrong by the exhaustive search, too, and has the same kind
/// of error; nothing that can go by itself is left.
#[test]
fn the_part_is_wrong_for_the_same_reason() {
    let rounds = if cfg!(miri) { 20 } else { 4_000 };
    let (mut seen, mut sum) = (0, 0);
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let bounded = random.one_in(2);
        let shape = Shape {
            events: 10 + random.below(20),
            threads: 1 + random.below(4),
            capacity: bounded.then(|| 1 + random.below(3)),
            batches: [0, 4][random.below(2)],
            deaths: [0, 30][random.below(2)],
            closes: [0, 12][random.below(2)],
            coarse: 1 + random.below(2),
            initial: random.below(2),
        };
        let (history, spec) = simulate(&mut random, shape);
        let history = damage(&mut random, &history, bounded);
        let Err(violation) = check(&history, &spec) else {
            continue;
        };
        let small = smallest(&history, &spec, &violation);
        let say = || {
            format!(
                "seed {seed}, {spec:?}: {violation}\n{}\n{small:?}",
                list(&history)
            )
        };
        assert_eq!(small.violation.kind(), violation.kind(), "{}", say());
        let picked: History = small.events.iter().map(|&i| history.events()[i]).collect();
        assert_eq!(picked, small.history, "{}", say());
        if violation.is_fault_of_recording() {
            continue;
        }
        assert!(small.minimal, "{}", say());
        assert!(
            exhaustive(&small.history, &small.spec).is_err(),
            "{}",
            say()
        );
        assert_eq!(
            smallest(&small.history, &small.spec, &small.violation).history,
            small.history
        );
        assert!(Timeline::of(&small).to_string().ends_with("</svg>\n"));
        seen += 1;
        sum += small.history.len();
    }
    assert!(seen > rounds / 4, "{seen}");
    let mean = sum as f64 / seen as f64;
    println!("{seen} wrong histories, {mean:.1} operations left on average");
    assert!(mean < 4.0);
}

#[test]
fn few_operations_of_a_large_history_are_left() {
    let shape = Shape {
        events: super::LARGE,
        threads: 6,
        capacity: Some(16),
        batches: 5,
        deaths: 0,
        closes: 0,
        coarse: 1,
        initial: 0,
    };
    let (history, spec) = simulate(&mut Random::new(7), shape);
    let pops: Vec<usize> = (0..history.len())
        .filter(|&i| matches!(history.events()[i].op, Pop(_)))
        .collect();
    let mut events = history.events().to_vec();
    let (a, b) = (pops[pops.len() / 2], pops[pops.len() / 2 + 60]);
    (events[a].op, events[b].op) = (events[b].op, events[a].op);
    let history = History::from(events);
    let violation = check(&history, &spec).unwrap_err();
    let small = smallest(&history, &spec, &violation);
    println!("{violation}\n{}", list(&small.history));
    assert!(small.minimal && small.history.len() <= 4, "{small:?}");
    assert!(small.spec.initial.is_empty());
}

#[test]
fn what_may_have_filled_the_queue_stays() {
    let event = |thread, op, call, ret| Event {
        thread,
        op,
        call,
        ret,
    };
    let history: History = [
        event(0, Push(1), 0, 1),
        event(0, Pop(1), 2, 3),
        event(0, Push(2), 4, 5),
        event(1, PushFull, 6, 7),
        event(0, Push(3), 8, 9),
    ]
    .into_iter()
    .collect();
    let spec = Spec::bounded(2);
    let violation = check(&history, &spec).unwrap_err();
    let small = smallest(&history, &spec, &violation);
    assert_eq!(small.events, [2, 3]);
    assert_eq!(
        small.violation.sentence(&Names::default()),
        "A push of thread 1 answered Full, but of 2 places at most 1 can have been taken at any instant of the call."
    );
}

#[test]
fn elements_from_the_start_may_go_too() {
    let event = |op, call| Event {
        thread: 0,
        op,
        call,
        ret: call,
    };
    let history: History = [event(Pop(7), 1), event(Pop(9), 2), event(Pop(8), 3)]
        .into_iter()
        .collect();
    let spec = Spec::unbounded().initial([7, 8, 9]);
    let small = smallest(&history, &spec, &check(&history, &spec).unwrap_err());
    assert_eq!((small.events, small.spec.initial), (vec![1, 2], vec![8, 9]));
}

// The picture.

/// Every element is closed, and nothing comes from elsewhere.
fn well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{svg}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
    let elsewhere = [
        "href", "url(", "<script", "@import", "<image", "NaN", "inf\"",
    ];
    for word in elsewhere {
        assert!(!svg.contains(word), "{word}: {svg}");
    }
    assert_eq!(
        svg.matches("http").count(),
        1,
        "the name of SVG's own vocabulary"
    );
}

#[test]
fn pictures_are_well_formed_whatever_the_names() {
    let event = |thread, op, call, ret| Event {
        thread,
        op,
        call,
        ret,
    };
    let events = [
        event(0, Push(1), 0, u64::MAX),
        event(0, Push(2), 0, u64::MAX),
        event(1, Pop(2), 5, 5),
        event(2, PopUnknown, 1 << 50, u64::MAX),
        event(2, Close, 7, 9),
        event(2, PushAbandoned, 8, 9),
    ];
    let history = History::from(events.to_vec());
    let violation = check(&history, &Spec::unbounded()).err();
    let names = Names {
        value: &|v| format!("<{v}&\"\u{1}a name that is longer than there is room for"),
        thread: &|t| format!("]]>{t}<!--"),
    };
    let plain = Timeline::new(history.events());
    well_formed(&plain.to_string());
    let named = Timeline::new(history.events()).names(names).unit("<ns>");
    let svg = match &violation {
        Some(violation) => named.violation(violation).to_string(),
        None => named.to_string(),
    };
    well_formed(&svg);
    assert!(svg.contains("&lt;ns&gt;") && svg.contains("A dashed bar never returned."));
    well_formed(&Timeline::new(&[]).to_string());
}

#[test]
fn of_many_calls_some_are_drawn() {
    let events: Vec<Event> = (0..100)
        .map(|n| Event {
            thread: n as usize % 5,
            op: Push(n),
            call: 2 * n,
            ret: 2 * n + 1,
        })
        .collect();
    let svg = Timeline::new(&events).limit(30).to_string();
    well_formed(&svg);
    assert!(svg.contains("70 more calls are not drawn."));
    assert_eq!(svg.matches("<g>").count(), 30);
}
