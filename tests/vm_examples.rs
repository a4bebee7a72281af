//! The examples say what they always said: their output is compared with `tests/expected`.

mod examples_support;

use examples_support::{example, expected, start};
use std::io::Write;
use std::process::Stdio;

/// Those that reserve so much.
const TERABYTE_STORIES: [&str; 3] = ["layers", "page_states", "stable_vec"];

/// Runs an example, with some input, and compares what it says.
fn tells(name: &str, input: &str) {
    tells_but_for(name, &[], input, str::to_owned);
}

/// The same with some arguments, after both texts went through `strip`, which takes away what
/// differs from run to run.
fn tells_but_for(name: &str, arguments: &[&str], input: &str, strip: fn(&str) -> String) {
    if granule::vm::info().page_len != 4096 {
        println!("skipped: the stories are told with pages of 4096 bytes");
        return;
    }
    if TERABYTE_STORIES.contains(&name) && granule::vm::info().address_max < 1 << 41 {
        println!("skipped: programs have no terabyte of addresses here");
        return;
    }
    let mut command = start::program(&example(name));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start::spawn(&mut command);
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(input.as_bytes()).expect("a pipe takes so little");
    drop(stdin);
    let output = start::finish(child);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{errors}", output.status);
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = said.lines().find(|line| line.starts_with("skipped:")) {
        println!("{why}");
        return;
    }
    assert_eq!(strip(&said), strip(&expected(name)), "example {name}");
}

/// One test for each story, of the example's name.
macro_rules! stories {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                tells(stringify!($name), "");
            }
        )*
    };
}

stories! {
    alloc_and_free
    cat_view
    cells
    copy_on_write
    default_heap
    granularity
    growing_array
    heap_per_thread
    layers
    list_thrown_away
    page_states
    pages
    ring
    sort_file
    stable_vec
    use_after_free
    virtual_alloc
    write_watch
}

#[test]
fn address_space() {
    // Where things are differs from run to run.
    tells_but_for("address_space", &[], "", |text| {
        let mut parts = text.split(" at 0x");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        rest.fold(first, |text, part| text + " at 0x.." + part)
    });
}

#[test]
fn layer_costs() {
    // How long it takes differs; that something was measured in every layer does not.
    tells_but_for("layer_costs", &["--quick"], "", |text| {
        let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
        let words = text.split_whitespace();
        words.map(|word| if is_time(word) { "time" } else { word }).collect::<Vec<_>>().join(" ")
    });
}

/// A story that starts its program once more, which one for another processor cannot do.
fn tells_twice(name: &str) {
    if cfg!(target_arch = "aarch64")
        && std::env::var(start::RUNNER).is_ok_and(|with| !with.is_empty())
    {
        println!("skipped: under an emulator a program cannot start itself");
        return;
    }
    tells(name, "");
}

#[test]
fn dynamic_array() {
    tells_twice("dynamic_array");
}

#[test]
fn shared_counter() {
    tells_twice("shared_counter");
}

#[test]
fn cell_prompt() {
    let long = "x".repeat(4091);
    let input = format!(
        "0\nhello\n1\naaa\n1\nhello!!\n9\nlast\n10\nout of range\nzero\nno number\n2\n{long}\n3\n"
    );
    tells("cell_prompt", &input);
}
