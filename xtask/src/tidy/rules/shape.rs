//! Rule `shape`: lengths of files, functions and lines, and plain ASCII.

use crate::tidy::source::{Token, closing, is_name};
use crate::tidy::{Remark, Source, Tree};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 800;
/// Longest function, in lines, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest line, in columns.
const COLUMNS_MAX: usize = 100;

pub(crate) fn check(source: &Source<'_>, _: &Tree) -> Vec<Remark> {
    if !source.is_code() {
        return Vec::new();
    }
    let mut remarks = file_remarks(source.text);
    for (number, line) in source.lines() {
        remarks.extend(line_remarks(line).into_iter().map(|advice| (number, advice)));
    }
    remarks.extend(function_remarks(&source.tokens()));
    remarks
}

fn file_remarks(text: &str) -> Vec<Remark> {
    let count = text.lines().count();
    let mut remarks = Vec::new();
    if count > FILE_LINES_MAX {
        remarks.push((count, format!("split the file: {count} lines, at most {FILE_LINES_MAX}")));
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        remarks.push((count, "end the file with one line break".to_string()));
    }
    remarks
}

fn line_remarks(line: &str) -> Vec<String> {
    let columns = line.chars().count();
    let mut remarks = Vec::new();
    if columns > COLUMNS_MAX {
        remarks.push(format!("break the line: {columns} columns, at most {COLUMNS_MAX}"));
    }
    if let Some(foreign) = line.chars().find(|character| !character.is_ascii()) {
        remarks.push(format!("write ASCII: {}", foreign.escape_unicode()));
    }
    if line.contains('\t') {
        remarks.push("indent with blanks, not with tabs".to_string());
    }
    if line.ends_with([' ', '\t', '\r']) {
        remarks.push("take the blanks at the end away".to_string());
    }
    remarks
}

fn function_remarks(tokens: &[Token<'_>]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (position, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if keyword.text != "fn" || !is_name(name.text) {
            continue;
        }
        let Some(open) = body(tokens, position) else { continue };
        let count = tokens[closing(tokens, open)].line - keyword.line + 1;
        if count > FUNCTION_LINES_MAX {
            let name = name.text;
            let advice = format!("split `{name}`: {count} lines, at most {FUNCTION_LINES_MAX}");
            remarks.push((keyword.line, advice));
        }
    }
    remarks
}

/// The opening brace of the function at `position`; `None` for a declaration.
fn body(tokens: &[Token<'_>], position: usize) -> Option<usize> {
    let mut at = position;
    loop {
        match tokens.get(at)?.text {
            "(" | "[" => at = closing(tokens, at),
            "{" => return Some(at),
            ";" => return None,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lines(check, "src/a.rs", text)
    }

    #[test]
    fn long_lines_and_files() {
        assert!(found(&format!("{}\n", "a".repeat(100))).is_empty());
        assert_eq!(found(&format!("\n{}\n", "a".repeat(101))), [2]);
        assert!(found(&"a\n".repeat(800)).is_empty());
        assert_eq!(found(&"a\n".repeat(801)), [801]);
    }

    #[test]
    fn plain_text_only() {
        assert_eq!(found("// \u{e9}\n"), [1]);
        assert_eq!(found("\tx\n"), [1]);
        assert_eq!(found("x \ny\r\n"), [1, 2]);
        assert_eq!(found("x"), [1]);
        assert_eq!(found("x\n\n"), [2]);
        assert_eq!(lines(check, "tests/crimes/a.c", "int x;\t\n"), [1, 1]);
        assert!(lines(check, "bench/Makefile.txt", "\tx\n").is_empty());
    }

    #[test]
    fn long_functions() {
        let function =
            |lines: usize| format!("x\nfn f(a: [u8; 4])\n{{\n{}}}\n", ";\n".repeat(lines));
        assert!(found(&function(67)).is_empty());
        assert_eq!(found(&function(68)), [2]);
        let declared = format!("trait T {{\n    fn f();\n{}}}\n", "    // x\n".repeat(90));
        assert!(found(&declared).is_empty());
        assert!(found(&format!("type F = fn(u8);\n{{\n{}}}\n", "//\n".repeat(90))).is_empty());
    }
}
