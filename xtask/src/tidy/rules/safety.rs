//! Rule `safety`: every `unsafe` block and `unsafe impl` has a `// SAFETY:` comment of its own, and
//! every such comment has its block.
//!
//! The comment stands directly above the block, or above the statement, match arm, field or item
//! that the block is a part of. One comment never answers for two blocks.

use crate::tidy::source::Token;
use crate::tidy::{Remark, Source, Tree};

/// Crimes are unsound on purpose; there is nothing true to write above them.
const WITHOUT_ARGUMENT: &str = "tests/crimes/";

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    if source.path.starts_with(WITHOUT_ARGUMENT) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let mut comments = safety_comments(source, &tokens);
    let mut remarks = Vec::new();
    for need in needs(&tokens) {
        let top = comment_top(source, &tokens, need.statement_line);
        let own = comments.iter().rposition(|line| (top..=need.line).contains(line));
        match own {
            Some(position) => drop(comments.remove(position)),
            None if need.optional => {}
            None => remarks.push((need.line, "put a `// SAFETY:` comment above it".to_string())),
        }
    }
    let idle = comments.into_iter();
    remarks.extend(idle.map(|line| (line, "no unsafe block belongs to this comment".to_string())));
    remarks.sort_unstable();
    remarks
}

/// The lines of the comments that begin with `SAFETY:` and stand on lines of their own.
fn safety_comments(source: &Source<'_>, tokens: &[Token<'_>]) -> Vec<usize> {
    let own_line = |line: usize| !has_code(tokens, line);
    let comments = source.comments().iter();
    comments
        .filter(|(line, text)| text.starts_with("// SAFETY:") && own_line(*line))
        .map(|&(line, _)| line)
        .collect()
}

fn has_code(tokens: &[Token<'_>], line: usize) -> bool {
    tokens.binary_search_by_key(&line, |token| token.line).is_ok()
}

/// The first line of the comments that touch the statement on `line` from above.
fn comment_top(source: &Source<'_>, tokens: &[Token<'_>], line: usize) -> usize {
    let is_comment = |line: usize| {
        let found = source.comments().binary_search_by_key(&line, |&(line, _)| line);
        found.is_ok() && !has_code(tokens, line)
    };
    (1..line).rev().take_while(|&above| is_comment(above)).last().unwrap_or(line)
}

/// Something that a SAFETY comment can belong to.
struct Need {
    line: usize,
    /// Where the statement, arm, field or item around it begins.
    statement_line: usize,
    /// Foreign declarations and attributes may have a comment, they need none.
    optional: bool,
}

/// A bracket that is open, and where the statement inside it began.
struct Open {
    is_brace: bool,
    /// Index of the statement's first token.
    statement: usize,
}

fn needs(tokens: &[Token<'_>]) -> Vec<Need> {
    let mut found = Vec::new();
    let mut open = vec![Open { is_brace: true, statement: 0 }];
    for (position, token) in tokens.iter().enumerate() {
        if token.text == "unsafe" {
            let statement = open.last().map_or(0, |innermost| innermost.statement);
            found.extend(need(tokens, position, tokens[statement].line));
        }
        follow_statements(&mut open, tokens, position);
    }
    found
}

/// What the `unsafe` at `position` needs; `None` for functions and traits.
fn need(tokens: &[Token<'_>], position: usize, statement_line: usize) -> Option<Need> {
    let optional = match tokens.get(position + 1)?.text {
        "{" | "impl" => false,
        "extern" | "(" => true,
        _ => return None,
    };
    Some(Need { line: tokens[position].line, statement_line, optional })
}

/// Keeps the open brackets, and where statements begin, up to date with the token at `position`.
fn follow_statements(open: &mut Vec<Open>, tokens: &[Token<'_>], position: usize) {
    let Some(innermost) = open.last_mut() else { return };
    let next = position + 1;
    match tokens[position].text {
        "(" | "[" => {
            let statement = innermost.statement;
            open.push(Open { is_brace: false, statement });
        }
        "{" => open.push(Open { is_brace: true, statement: next }),
        ";" | "," if innermost.is_brace => innermost.statement = next,
        closed @ (")" | "]" | "}") => {
            open.pop();
            if open.is_empty() {
                open.push(Open { is_brace: true, statement: next });
            }
            if let Some(outer) = open.last_mut()
                && closed == "}"
                && ends_statement(tokens, position)
            {
                outer.statement = next;
            }
        }
        _ => {}
    }
}

/// True when the brace closed at `position` ends its statement: the next line begins a new one, and
/// does not go on with a method, an operator or a closing bracket.
fn ends_statement(tokens: &[Token<'_>], position: usize) -> bool {
    let Some(next) = tokens.get(position + 1) else { return false };
    let goes_on =
        matches!(next.text, "." | "?" | ")" | "]" | "}" | "," | ";" | "else" | "as" | "=");
    next.line > tokens[position].line && !goes_on
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lines(check, "src/sys/mod.rs", text)
    }

    #[test]
    fn a_comment_above_is_enough() {
        for good in [
            "// SAFETY: a.\nunsafe { f() };",
            "// why\n// SAFETY: a\n// long one.\nlet x = unsafe { f() };",
            "match x {\n    // SAFETY: (1).\n    A => unsafe { f() },\n    B => {}\n}",
            "// SAFETY: a.\nlet x = g(\n    1,\n    unsafe { f() },\n);",
            "let x = g(\n    1,\n    // SAFETY: a.\n    unsafe { f() },\n);",
            "// SAFETY: a.\n#[expect(x)]\nunsafe impl Send for X {}",
            "// SAFETY: a.\nlet A { b, c } = unsafe { f() };",
            "if a {\n}\n// SAFETY: a.\nunsafe { f() }",
            "// SAFETY: a.\nif let Err(e) = unsafe { f() } {\n    g();\n}",
            "let x = y\n    // SAFETY: a.\n    .map(|z| unsafe { f(z) });",
            "// SAFETY: a.\nlet x: Option<A, B> = unsafe { f() };",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
    }

    #[test]
    fn a_missing_one_is_found() {
        for (bad, line) in [
            ("unsafe { f() };", 1),
            ("// SAFETY: a.\n\nunsafe impl Send for X {}", 3),
            ("// SAFETY: a.\ng();\nunsafe { f() };", 3),
            ("// SAFETY: a.\nlet x = (unsafe { f() },\n    unsafe { g() });", 3),
            ("// SAFETY: a.\nif a {\n    unsafe { f() };\n}", 3),
            ("// SAFETY: a.\nif a {\n}\nunsafe { f() }", 4),
            ("match x {\n    // SAFETY: a.\n    A => {}\n    B => unsafe { f() },\n}", 4),
            ("unsafe { f() }; // SAFETY: a.", 1),
            ("/// SAFETY: a.\nunsafe { f() };", 2),
            ("// SAFETY a\nunsafe { f() };", 2),
        ] {
            assert!(found(bad).contains(&line), "{bad}");
        }
    }

    #[test]
    fn one_comment_answers_for_one_block() {
        let text = "// SAFETY: a.\nlet x = unsafe { f(unsafe { g() }) };";
        assert_eq!(found(text), [2]);
        let text = "// SAFETY: a.\n// SAFETY: b.\nlet x = unsafe { f(unsafe { g() }) };";
        assert!(found(text).is_empty());
    }

    #[test]
    fn an_idle_comment_is_found() {
        assert_eq!(found("// SAFETY: a.\nlet x = f();"), [1]);
        assert_eq!(found("// SAFETY: a.\nunsafe fn f() {}"), [1]);
    }

    #[test]
    fn declarations_may_but_need_not_have_one() {
        assert!(found("unsafe extern \"C\" { fn f(); }\nunsafe fn g() {}").is_empty());
        assert!(
            found("// SAFETY: no other symbol has it.\n#[unsafe(no_mangle)]\nfn f() {}").is_empty()
        );
        assert!(found("type F = unsafe fn(usize);").is_empty());
    }

    #[test]
    fn crimes_have_no_argument() {
        assert!(lines(check, "tests/crimes/a.rs", "unsafe { f() };").is_empty());
    }
}
