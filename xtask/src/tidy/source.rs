//! One file as the rules see it: its path, its text and, for Rust, its tokens and comments.

use super::lex::{Lexed, lex};

/// A file of the tree.
pub(crate) struct Source<'a> {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    lexed: Option<Lexed>,
}

/// A word, a literal's quote, `::`, or any other single character of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl<'a> Source<'a> {
    /// Takes the text apart if it is Rust.
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        Source { path, text, lexed: path.ends_with(".rs").then(|| lex(text)) }
    }

    /// True for a Rust file.
    pub(crate) fn is_rust(&self) -> bool {
        self.lexed.is_some()
    }

    /// True for Rust code that only tests and readers run: it may be blunter than the product.
    pub(crate) fn is_trial(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "tests.rs" | "examples"))
    }

    /// True for code whose style the rules look at, in any language.
    pub(crate) fn is_code(&self) -> bool {
        let endings = [".rs", ".c", ".h", ".cc", ".cpp", ".hpp", ".sh", ".py", ".ci/run"];
        endings.iter().any(|ending| self.path.ends_with(ending))
    }

    /// The lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> {
        (1..).zip(self.text.split_terminator('\n'))
    }

    /// The comments of a Rust file, line by line; none for any other file.
    pub(crate) fn comments(&self) -> &[(usize, String)] {
        self.lexed.as_ref().map_or(&[], |lexed| &lexed.comments)
    }

    /// The tokens of a Rust file; none for any other file.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        self.lexed.as_ref().map_or(Vec::new(), |lexed| tokens(&lexed.code))
    }
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (line, mut rest) in (1..).zip(code.lines()) {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let (text, after) = rest.split_at(token_len(rest));
            found.push(Token { text, line });
            rest = after;
        }
    }
    found
}

fn token_len(rest: &str) -> usize {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    match rest.find(|character| !is_word(character)).unwrap_or(rest.len()) {
        0 if rest.starts_with("::") => 2,
        0 => 1,
        len => len,
    }
}

/// True for a token that can be a name.
pub(crate) fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// The position of the bracket that closes the one at `open`; the last token if none does.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (position, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return position;
        }
    }
    tokens.len().saturating_sub(1)
}

/// True when `tokens` goes on at `position` with exactly these texts.
pub(crate) fn follows(tokens: &[Token<'_>], position: usize, texts: &[&str]) -> bool {
    let Some(window) = tokens.get(position..position + texts.len()) else { return false };
    window.iter().zip(texts).all(|(token, text)| token.text == *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_and_marks() {
        let source = Source::new("a.rs", "use a::{b}; // c\nlet _d = \"e f\";");
        let texts: Vec<&str> = source.tokens().iter().map(|token| token.text).collect();
        assert_eq!(
            texts,
            ["use", "a", "::", "{", "b", "}", ";", "let", "_d", "=", "\"", "\"", ";"]
        );
        assert_eq!(source.tokens()[7].line, 2);
    }

    #[test]
    fn brackets_find_their_partner() {
        let source = Source::new("a.rs", "f(a[1], {b}) g");
        let tokens = source.tokens();
        assert_eq!(tokens[closing(&tokens, 1) + 1].text, "g");
        let open = Source::new("a.rs", "f(a");
        assert_eq!(closing(&open.tokens(), 1), 2);
    }

    #[test]
    fn other_languages_have_no_tokens() {
        let source = Source::new("a.c", "int main(void) {} // x");
        assert!(source.tokens().is_empty() && source.comments().is_empty() && source.is_code());
    }
}
