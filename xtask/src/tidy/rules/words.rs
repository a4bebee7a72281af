//! Rule `words`: one thing has one name, and nothing fails without a reason.

use crate::tidy::source::{Token, closing, follows};
use crate::tidy::{Remark, Source, Tree};

/// Parts that no type's name may have: our words are block, class, slab and arena.
const TAKEN: [&str; 4] = ["Chunk", "Segment", "Span", "Bin"];

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    let tokens = source.tokens();
    let mut remarks: Vec<Remark> = tokens.windows(2).filter_map(type_remark).collect();
    if !source.is_trial() {
        remarks.extend(unwrap_remarks(&tokens));
    }
    remarks
}

fn type_remark(pair: &[Token<'_>]) -> Option<Remark> {
    let [keyword, name] = pair else { return None };
    if !matches!(keyword.text, "struct" | "enum" | "union" | "trait" | "type") {
        return None;
    }
    let part = camel_parts(name.text).find(|part| TAKEN.contains(part))?;
    Some((
        name.line,
        format!("`{part}` means other things elsewhere: see the words in CONTRIBUTING"),
    ))
}

/// `MapSpan` -> `Map`, `Span`.
fn camel_parts(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let tail = &rest[first.len_utf8()..];
        let len = tail.find(char::is_uppercase).unwrap_or(tail.len());
        let (part, after) = rest.split_at(first.len_utf8() + len);
        rest = after;
        Some(part)
    })
}

/// Calls of `unwrap` outside the modules of tests.
fn unwrap_remarks(tokens: &[Token<'_>]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        if follows(tokens, position, &["cfg", "(", "test", ")", "]"]) {
            position = end_of_item(tokens, position + 5);
        } else if follows(tokens, position, &[".", "unwrap", "(", ")"]) {
            let advice = "say with `expect` why it cannot fail, or return the error";
            remarks.push((tokens[position].line, advice.to_string()));
        }
        position += 1;
    }
    remarks
}

/// The last token of the item that begins at `start`.
fn end_of_item(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "(" | "[" => at = closing(tokens, at),
            "{" => return closing(tokens, at),
            ";" => return at,
            _ => {}
        }
        at += 1;
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lines(check, "src/a.rs", text)
    }

    #[test]
    fn taken_words_are_found_in_types_only() {
        assert_eq!(found("struct Chunk;\nenum MapSpan {}\ntype SegmentList = u8;"), [1, 2, 3]);
        assert!(found("struct Binary; fn chunk() {} let span = split_first_chunk();").is_empty());
    }

    #[test]
    fn unwrap_needs_a_reason_outside_tests() {
        assert_eq!(found("fn f() {\n    g().unwrap();\n}"), [2]);
        let text =
            "#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\nfn h() { g().unwrap() }";
        assert_eq!(found(text), [5]);
        assert!(lines(check, "tests/it/main.rs", "fn f() { g().unwrap(); }").is_empty());
        assert!(found("fn f() { g().unwrap_or(1).expect(\"a reason\"); }").is_empty());
    }
}
