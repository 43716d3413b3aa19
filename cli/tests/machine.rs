//! `turtle --help`, `doctor`, `ls`, `unlink`.

mod common;

use common::{Named, json, name, no_shared_memory, turtle};
use serde_json::{Value, json as value};
use turtle_buffers::Strategy;

#[test]
fn the_version_is_that_of_the_library() {
    assert_eq!(
        turtle(&["--version"]).ok(),
        format!("turtle {}\n", turtle_buffers::VERSION)
    );
}

#[test]
fn help_explains_every_subcommand() {
    let main = turtle(&["--help"]).ok();
    for command in ["doctor", "ls", "unlink", "bench", "produce"] {
        assert!(
            main.contains(&format!("\n  {command} ")),
            "{command} is missing: {main}"
        );
        let help = turtle(&[command, "--help"]).ok();
        let first = help.lines().next().unwrap();
        assert!(
            first.ends_with('.') && first.len() > 20,
            "{command} begins with {first:?}"
        );
        assert!(help.contains("Usage: turtle "), "{help}");
        // Every option says what it does.
        for line in help
            .lines()
            .filter(|line| line.trim_start().starts_with("--"))
        {
            let after = help.split_once(line).unwrap().1;
            let said = after.lines().nth(1).unwrap_or_default().trim();
            assert!(said.len() > 10, "{command}: {line} is not explained");
        }
    }
    assert!(main.contains("Exit status"), "{main}");
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        vec![],
        vec!["nonsense"],
        vec!["ls", "--wrong"],
        vec!["unlink"],
        vec!["doctor", "x"],
    ] {
        let ran = turtle(&arguments);
        assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.err);
        assert!(
            ran.out.is_empty() && ran.err.contains("Usage"),
            "{arguments:?}: {}",
            ran.err
        );
    }
}

#[test]
fn doctor_tells_programs_what_is_here() {
    let found = json(&turtle(&["doctor", "--json"]).ok());
    assert_eq!(found["schema"], "turtle-doctor-1");
    assert_eq!(found["version"], turtle_buffers::VERSION);
    let machine = &found["machine"];
    assert!(machine["cores_online"].as_u64().unwrap() >= 1);
    assert!(!machine["cores_allowed"].as_array().unwrap().is_empty());
    for feature in [
        "rtm",
        "rtm_always_abort",
        "cldemote",
        "waitpkg",
        "clwb",
        "clflushopt",
    ] {
        assert!(machine["features"][feature].is_boolean(), "{feature}");
    }
    for field in [
        "caches",
        "membarrier",
        "huge_pages",
        "shared_memory",
        "kernel",
        "cpu",
    ] {
        assert!(machine.get(field).is_some(), "{field}");
    }
    let strategies = found["strategies"].as_array().unwrap();
    let of = |name: &str| strategies.iter().find(|row| row["name"] == name).unwrap();
    for strategy in Strategy::ALL {
        let row = of(strategy.name());
        assert_eq!(row["planned"], false);
        assert_eq!(row["runs"], true);
        assert_eq!(row["number"], *strategy as u32);
        assert_eq!(row["survives_kill"], strategy.traits().survives_kill);
    }
    // What is planned says why it cannot run.
    for row in strategies.iter().filter(|row| row["planned"] == true) {
        assert_eq!(row["runs"], false);
        assert!(row["reason"].as_str().unwrap().len() > 10, "{row}");
    }
    assert!(
        found["places"]
            .as_array()
            .unwrap()
            .iter()
            .any(|place| place["file_system"].is_string())
    );
    assert!(found["rings"].is_array() && found["notes"].is_array());
}

#[test]
fn doctor_tells_people_the_same() {
    let text = turtle(&["doctor"]).ok();
    for part in [
        "Machine",
        "Processor features",
        "File systems",
        "Strategies",
        "Shared rings",
        "membarrier",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for strategy in Strategy::ALL {
        assert!(text.contains(strategy.name()), "{strategy}: {text}");
    }
}

fn listed(name: &str) -> Option<Value> {
    let all = json(&turtle(&["ls", "--json"]).ok());
    all.as_array()
        .unwrap()
        .iter()
        .find(|ring| ring["name"] == name)
        .cloned()
}

#[test]
fn a_ring_is_listed_until_it_is_unlinked() {
    if no_shared_memory() {
        return;
    }
    let mut named = Named::new("listed", Strategy::Spsc, 12, 40, true);
    // SAFETY: the three bytes are there.
    unsafe { named.ring().push_record(b"abc".as_ptr(), 3, None) };
    let found = listed(&named.name).expect("it is there");
    let wanted = [
        ("in_use", value!(true)),
        ("strategy", value!("spsc")),
        ("capacity", value!(12)),
        ("elem_size", value!(40)),
        ("records", value!(true)),
        ("len", value!(1)),
        ("closed", value!(false)),
        ("mode", value!("0600")),
        ("trouble", Value::Null),
    ];
    for (field, value) in wanted {
        assert_eq!(found[field], value, "{field}: {found}");
    }
    let table = turtle(&["ls"]).ok();
    let row = table
        .lines()
        .find(|line| line.contains(&*named.name))
        .expect("it is in the table");
    assert!(row.contains("1 of 12") && row.contains("in use"), "{row}");
    let doctor = json(&turtle(&["doctor", "--json"]).ok());
    assert!(
        doctor["rings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|ring| ring["name"] == *named.name)
    );

    // Attached: not stale.
    turtle(&["unlink", "--stale", &named.name]).fails(1, "a process is attached");
    named.ring = None;
    let found = listed(&named.name).expect("it stays when nobody is attached");
    assert_eq!(
        (&found["in_use"], &found["len"]),
        (&value!(false), &value!(1))
    );
    assert!(
        turtle(&["unlink", "--stale", &named.name])
            .ok()
            .contains(&*named.name)
    );
    assert_eq!(listed(&named.name), None);
    turtle(&["unlink", &named.name]).fails(1, "no segment of this name");
}

#[test]
fn unlink_takes_the_name_of_a_ring_in_use() {
    if no_shared_memory() {
        return;
    }
    let named = Named::new("unlinked", Strategy::Turn, 4, 8, false);
    turtle(&["unlink", &named.name]).ok();
    assert_eq!(listed(&named.name), None);
    let elem = 7_u64;
    // SAFETY: eight bytes.
    let outcome = unsafe { named.ring().try_push((&raw const elem).cast()) };
    assert_eq!(
        outcome,
        turtle_buffers::erased::Outcome::Ok,
        "who is attached goes on"
    );
}

#[test]
fn bad_names_are_usage_errors() {
    turtle(&["unlink", "no-slash"]).fails(2, "no slash in front");
    turtle(&["unlink", "/a/b"]).fails(2, "second slash");
}

#[test]
fn a_damaged_ring_is_listed_with_its_trouble() {
    if no_shared_memory() {
        return;
    }
    let name = name("damaged");
    let path = format!("/dev/shm{name}");
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(&turtle_buffers::segment::MAGIC);
    bytes[8..12].copy_from_slice(&turtle_buffers::segment::LAYOUT_VERSION.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let found = listed(&name);
    let table = turtle(&["ls"]).ok();
    let produced = turtle(&["produce", &name, "--files", "/dev/null"]);
    std::fs::remove_file(&path).unwrap();
    let found = found.expect("its magic is right");
    assert!(
        found["trouble"].as_str().unwrap().contains("checksum"),
        "{found}"
    );
    assert_eq!(found["capacity"], Value::Null);
    assert!(
        table
            .lines()
            .any(|line| line.contains(&*name) && line.contains('?')),
        "{table}"
    );
    produced.fails(3, "checksum");
}
