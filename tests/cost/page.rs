//! `docs/cost.md`: what was counted stands there, between comments.

use std::path::Path;
use std::sync::Mutex;

/// The tests run side by side, and each writes its own part.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Compares the part `name` of the page with `text`; `TURTLE_BLESS=1` writes it.
pub(crate) fn says(name: &str, text: &str) {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{name}:\n\n{text}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cost.md");
    let page = std::fs::read_to_string(&path).expect("docs/cost.md");
    let begin = format!("<!-- {name}: written by tests/cost.rs -->\n");
    let at = page.find(&begin);
    let from = begin.len() + at.unwrap_or_else(|| panic!("docs/cost.md has no {begin}"));
    let long = page[from..].find("<!-- end -->");
    let to = from + long.unwrap_or_else(|| panic!("docs/cost.md: {name} has no end"));
    let now = format!("\n{}\n\n", text.trim());
    if std::env::var_os("TURTLE_BLESS").is_some_and(|v| v == "1") {
        let page = format!("{}{now}{}", &page[..from], &page[to..]);
        std::fs::write(&path, page).expect("write the page");
        return;
    }
    assert!(
        page[from..to] == now,
        "docs/cost.md, {name}, differs from what was counted (TURTLE_BLESS=1 writes it):\n{text}"
    );
}
