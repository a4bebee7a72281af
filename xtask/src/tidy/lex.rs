//! A lexer just good enough to tell Rust code from comments and literals.
//!
//! The code keeps its length and its line breaks: comments and the insides of literals turn into
//! blanks, so that a word in a string is never taken for a keyword.

/// Rust text taken apart.
pub(crate) struct Lexed {
    /// The text with comments and the insides of literals blanked out.
    pub(crate) code: String,
    /// The comments, line by line, with the line they stand on (counted from 1).
    pub(crate) comments: Vec<(usize, String)>,
}

/// Takes `text` apart.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, code: Vec::new(), comments: Vec::new() };
    while lexer.at < lexer.bytes.len() {
        lexer.step();
    }
    let code = String::from_utf8(lexer.code).expect("only ASCII bytes are copied");
    let mut line = 1;
    let mut position = 0;
    let comments = lexer.comments.into_iter().flat_map(|(start, end)| {
        line += count_lines(&text.as_bytes()[position..start]);
        position = start;
        let first = line;
        let lines = text[start..end].lines().enumerate();
        lines.map(move |(index, part)| (first + index, part.trim().to_string()))
    });
    Lexed { code, comments: comments.collect() }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<(usize, usize)>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"//") {
            self.comment(rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()));
        } else if rest.starts_with(b"/*") {
            self.comment(block_comment_len(rest));
        } else if let Some((before, inside)) = literal_lens(rest) {
            self.copy(before);
            self.blank(inside);
            self.copy(1.min(self.bytes.len() - self.at));
        } else if let Some(len) = character_len(rest) {
            self.blank(len);
        } else {
            let len = word_len(rest).max(1);
            self.copy(len);
        }
    }

    fn comment(&mut self, len: usize) {
        self.comments.push((self.at, self.at + len));
        self.blank(len);
    }

    fn copy(&mut self, len: usize) {
        let copied = &self.bytes[self.at..self.at + len];
        self.code.extend(copied.iter().map(|&byte| if byte.is_ascii() { byte } else { b' ' }));
        self.at += len;
    }

    fn blank(&mut self, len: usize) {
        let blanked = &self.bytes[self.at..self.at + len];
        self.code.extend(blanked.iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        self.at += len;
    }
}

fn word_len(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// Block comments nest in Rust.
fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// For a string literal of any kind: bytes up to and with the opening quote, bytes before the
/// closing one.
fn literal_lens(rest: &[u8]) -> Option<(usize, usize)> {
    let prefix = word_len(rest);
    if !matches!(&rest[..prefix], b"" | b"b" | b"c" | b"r" | b"br" | b"cr") {
        return None;
    }
    let is_raw = rest[..prefix].contains(&b'r');
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') || (hashes > 0 && !is_raw) {
        return None;
    }
    let start = prefix + hashes + 1;
    Some((start, if is_raw { raw_len(&rest[start..], hashes) } else { cooked_len(&rest[start..]) }))
}

fn raw_len(inside: &[u8], hashes: usize) -> usize {
    let closes = |at: usize| {
        let tail = &inside[at + 1..];
        inside[at] == b'"' && tail.len() >= hashes && tail[..hashes].iter().all(|&b| b == b'#')
    };
    (0..inside.len()).find(|&at| closes(at)).unwrap_or(inside.len())
}

fn cooked_len(inside: &[u8]) -> usize {
    let mut at = 0;
    while at < inside.len() && inside[at] != b'"' {
        at += if inside[at] == b'\\' { 2 } else { 1 };
    }
    at.min(inside.len())
}

/// The length of a character or byte literal; `None` for a lifetime.
fn character_len(rest: &[u8]) -> Option<usize> {
    let prefix = usize::from(rest.starts_with(b"b'"));
    if rest.get(prefix) != Some(&b'\'') {
        return None;
    }
    let inside = &rest[prefix + 1..];
    let len = match inside.first()? {
        b'\\' => 2 + inside[2.min(inside.len())..].iter().position(|&byte| byte == b'\'')?,
        b'\'' | b'\n' => return None,
        first => utf8_len(*first),
    };
    (inside.get(len) == Some(&b'\'')).then_some(prefix + len + 2)
}

fn utf8_len(first: u8) -> usize {
    match first {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = lex(text).code;
        assert_eq!(code.len(), text.len());
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(code("a // unsafe {\nb"), "a b");
        assert_eq!(code("a /* x /* y */ z */ b"), "a b");
        assert_eq!(code(r#"f("unsafe { \" }", b"x", c"y") g"#), "f(\" \", b\" \", c\" \") g");
        assert_eq!(code("r#\"un\"safe\"# x"), "r#\" \"# x");
        assert_eq!(code("r\"a\\\" b"), "r\" \" b");
        assert_eq!(code("'{' x b'\\'' y '\\u{7d}' z"), "x y z");
        assert_eq!(code("'\u{e9}' x"), "x");
    }

    #[test]
    fn lifetimes_and_words_stay() {
        assert_eq!(code("fn f<'a>(x: &'a str) -> &'a str"), "fn f<'a>(x: &'a str) -> &'a str");
        assert_eq!(code("'outer: loop { bar\"\" }"), "'outer: loop { bar\"\" }");
    }

    #[test]
    fn comments_know_their_lines() {
        let comments = lex("x\n// one\n\ny /* two\n three */\n\"// none\" // four").comments;
        let expected = [(2, "// one"), (4, "/* two"), (5, "three */"), (6, "// four")]
            .map(|(n, s)| (n, s.into()));
        assert_eq!(comments, expected);
    }

    #[test]
    fn text_that_ends_too_early_is_no_trouble() {
        for text in ["\"abc", "/* abc", "r##\"abc\"#", "'\\", "b'", "\"\\"] {
            assert_eq!(lex(text).code.len(), text.len(), "{text}");
        }
    }
}
