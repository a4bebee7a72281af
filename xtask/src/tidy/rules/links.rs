//! Rule `links`: links between our pages lead somewhere, and a page has one title.

use crate::tidy::{Remark, Source, Tree};

pub(crate) fn check(source: &Source<'_>, tree: &Tree) -> Vec<Remark> {
    if source.is_rust() {
        return pages_named_in_comments(source, tree);
    }
    if !source.path.ends_with(".md") {
        return Vec::new();
    }
    let mut remarks = title_remarks(source.text);
    for (number, line) in prose(source.text) {
        let dead = targets(&line).filter_map(|target| dead_link(source.path, &target, tree));
        remarks.extend(dead.map(|advice| (number, advice)));
    }
    remarks
}

/// Comments of Rust files name pages by a path from the root, or from beside the file.
fn pages_named_in_comments(source: &Source<'_>, tree: &Tree) -> Vec<Remark> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let mut remarks = Vec::new();
    for (line, text) in source.comments() {
        let pages = text.split(|c| !is_path(c)).filter(|word| word.ends_with(".md"));
        let dead = pages.filter(|page| {
            !page.starts_with('.') && !tree.has(page) && !tree.has(&resolve(source.path, page))
        });
        remarks.extend(dead.map(|page| (*line, format!("there is no page {page}"))));
    }
    remarks
}

fn title_remarks(text: &str) -> Vec<Remark> {
    let titles: Vec<usize> = prose_with_code(text)
        .filter(|(_, line)| line.starts_with("# "))
        .map(|(number, _)| number)
        .collect();
    match titles[..] {
        [] => vec![(1, "give the page a title: `# ...`".to_string())],
        [_] => Vec::new(),
        [_, ref more @ ..] => {
            more.iter().map(|&line| (line, "a page has one title: use `##`".to_string())).collect()
        }
    }
}

/// The lines outside fenced code.
fn prose_with_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return true,
            _ => {}
        }
        false
    })
}

/// The lines outside fenced code, with code between backquotes blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    prose_with_code(text).map(|(number, line)| {
        let parts = line.split('`').enumerate();
        let blank = |(index, part): (usize, &str)| {
            if index % 2 == 0 { part.to_string() } else { " ".repeat(part.len()) }
        };
        (number, parts.map(blank).collect::<Vec<_>>().join("`"))
    })
}

/// What the links of a line point to: `[..](target)`, `[..]: target`, `href="target"` and
/// `src="target"`.
fn targets(line: &str) -> impl Iterator<Item = String> {
    let inline = line.split("](").skip(1).map(|rest| up_to(rest, ')'));
    let definition =
        line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    let attributes = ["href=\"", "src=\""].into_iter();
    let attributes =
        attributes.flat_map(|name| line.split(name).skip(1).map(|rest| up_to(rest, '"')));
    let all = inline.chain(definition).chain(attributes);
    let all: Vec<String> = all
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_string())
        .collect();
    all.into_iter()
}

fn up_to(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or(text)
}

fn dead_link(page: &str, target: &str, tree: &Tree) -> Option<String> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
    let path = if file.is_empty() { page.to_string() } else { resolve(page, file) };
    if file.starts_with('/') || !tree.has(&path) {
        return Some(format!("the link {target} is dead: there is no {path}"));
    }
    let anchor = anchor?;
    let text = tree.text(&path).filter(|_| path.ends_with(".md"))?;
    let found = anchors(text).iter().any(|known| known == anchor);
    (!found).then(|| format!("the link {target} is dead: {path} has no such heading"))
}

/// `target`, seen from the folder of `page`, as a path from the root.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as GitHub makes them, and those set by hand.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, line) in prose_with_code(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            let base = slug(heading.trim());
            let numbered = (1..).map(|number| format!("{base}-{number}"));
            let mut names = std::iter::once(base.clone()).chain(numbered);
            found.extend(names.find(|name| !found.contains(name)));
        }
        for attribute in ["id=\"", "name=\""] {
            found.extend(line.split(attribute).skip(1).map(|rest| up_to(rest, '"').to_string()));
        }
    }
    found
}

fn slug(heading: &str) -> String {
    let mut shown = String::new();
    let mut rest = heading;
    while let Some((before, (_, after))) =
        rest.split_once("](").and_then(|(before, link)| Some((before, link.split_once(')')?)))
    {
        shown.push_str(before);
        rest = after;
    }
    shown.push_str(rest);
    let keep = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    shown.to_lowercase().chars().filter(keep).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines_in;
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let other =
            ("docs/other.md", "# Other\n## Why `guard`, and [how](x)?\n## Twice\n## Twice\n");
        lines_in(check, "docs/a.md", &[("docs/a.md", text), other, ("src/lib.rs", "")])
    }

    #[test]
    fn living_links_pass() {
        let text = "# A\n[x](other.md) [y](../src/lib.rs) [z](https://a.example/b) [w](#a)\n\
            [x](other.md#why-guard-and-how) ![p](../src \"title\") [t](other.md#twice-1)\n\
            [ref]: other.md\n<a href=\"other.md\">x</a>\n";
        assert_eq!(found(text), []);
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(found("# A\n[x](none.md)\n[y](#none) [z](other.md#none)\n"), [2, 3, 3]);
        assert_eq!(found("# A\n[ref]: none.md\n<img src=\"none.svg\">\n[x](/src)\n"), [2, 3, 4]);
    }

    #[test]
    fn code_has_no_links() {
        assert_eq!(found("# A\n`[x](none.md)`\n```\n[x](none.md)\n# B\n```\n"), []);
    }

    #[test]
    fn a_page_has_one_title() {
        assert_eq!(found("text\n"), [1]);
        assert_eq!(found("# A\n\n# B\n"), [3]);
    }

    #[test]
    fn comments_name_pages_that_exist() {
        let text = "// see docs/a.md, or beside: b.md.\n// none: docs/none.md\n";
        let files = [("src/x.rs", text), ("docs/a.md", ""), ("src/b.md", "")];
        assert_eq!(lines_in(check, "src/x.rs", &files), [2]);
    }
}
