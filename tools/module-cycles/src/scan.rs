//! The tokens of one module: its declarations, and every path that is mentioned.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// What the tokens of one module hold.
#[derive(Default)]
pub(crate) struct Scanned {
    /// Child modules; those of other files have no body.
    pub(crate) modules: Vec<(String, Option<TokenStream>)>,
    pub(crate) imports: Vec<Import>,
    pub(crate) items: BTreeSet<String>,
    pub(crate) references: Vec<Reference>,
}

/// One name that a `use` declaration brings into scope.
#[derive(Debug)]
pub(crate) struct Import {
    /// `None` is a glob.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
}

/// A path in the source, `use` declarations included.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// Scans a module, without what is under `#[cfg(test)]`.
pub(crate) fn scan(tokens: TokenStream) -> Scanned {
    let mut scanned = Scanned::default();
    scanned.stream(tokens);
    scanned
}

const ITEMS: [&str; 8] = ["struct", "enum", "union", "trait", "fn", "type", "const", "static"];

impl Scanned {
    fn stream(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while !rest.is_empty() {
            rest = self.next(rest);
        }
    }

    /// Takes what stands at the front; returns what is left.
    fn next<'a>(&mut self, tokens: &'a [TokenTree]) -> &'a [TokenTree] {
        match tokens {
            [TokenTree::Punct(hash), TokenTree::Group(attribute), rest @ ..] if hash.as_char() == '#' => {
                if is_cfg_test(attribute.stream()) { after_item(rest) } else { rest }
            }
            [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(attribute), rest @ ..]
                if hash.as_char() == '#' && bang.as_char() == '!' =>
            {
                if is_cfg_test(attribute.stream()) {
                    &[]
                } else {
                    rest
                }
            }
            [TokenTree::Ident(word), TokenTree::Group(scope), rest @ ..]
                if word == "pub" && scope.delimiter() == Delimiter::Parenthesis =>
            {
                rest
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), end, rest @ ..] if word == "mod" => {
                let body = match end {
                    TokenTree::Group(body) => Some(body.stream()),
                    _ => None,
                };
                self.modules.push((name.to_string(), body));
                rest
            }
            [TokenTree::Ident(word), rest @ ..] if word == "use" && !is_punct(rest.first(), '<') => {
                let end = rest.iter().position(|token| is_punct(Some(token), ';')).unwrap_or(rest.len());
                self.use_tree(&rest[..end], &mut Vec::new());
                &rest[end..]
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), rest @ ..] if ITEMS.iter().any(|item| word == item) => {
                self.items.insert(name.to_string());
                rest
            }
            [TokenTree::Ident(first), rest @ ..] => self.path(first, rest),
            [TokenTree::Group(group), rest @ ..] => {
                self.stream(group.stream());
                rest
            }
            // What follows a leading `::` or a dot is no name of ours.
            [TokenTree::Punct(colon), TokenTree::Punct(_), TokenTree::Ident(_), rest @ ..]
                if colon.as_char() == ':' =>
            {
                after_segments(rest)
            }
            [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    /// A path in an expression or a type.
    fn path<'a>(&mut self, first: &Ident, mut rest: &'a [TokenTree]) -> &'a [TokenTree] {
        let mut path = vec![first.to_string()];
        while let Some((segment, after)) = next_segment(rest) {
            path.push(segment.to_string());
            rest = after;
        }
        if path.len() > 1 {
            self.references.push(Reference { path, line: first.span().start().line });
        }
        rest
    }

    /// The tree of a `use` declaration; `prefix` is what stands before it.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &mut Vec<String>) {
        let depth = prefix.len();
        let mut line = 0;
        let mut alias = None;
        let mut rest = tokens;
        loop {
            rest = match rest {
                [TokenTree::Ident(word), TokenTree::Ident(name), ..] if word == "as" => {
                    alias = Some(name.to_string());
                    break;
                }
                [TokenTree::Ident(segment), rest @ ..] => {
                    line = segment.span().start().line;
                    // `self` at the end is what stands before it.
                    if segment != "self" || prefix.is_empty() {
                        prefix.push(segment.to_string());
                    }
                    rest
                }
                [TokenTree::Group(group), ..] => {
                    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                    for tree in tokens.split(|token| is_punct(Some(token), ',')) {
                        if !tree.is_empty() {
                            self.use_tree(tree, prefix);
                        }
                    }
                    prefix.truncate(depth);
                    return;
                }
                [TokenTree::Punct(star), ..] if star.as_char() == '*' => {
                    let line = star.span().start().line;
                    self.references.push(Reference { path: prefix.clone(), line });
                    self.imports.push(Import { name: None, path: prefix.clone() });
                    prefix.truncate(depth);
                    return;
                }
                [_, rest @ ..] => rest,
                [] => break,
            };
        }
        self.references.push(Reference { path: prefix.clone(), line });
        self.imports.push(Import { name: alias.or_else(|| prefix.last().cloned()), path: prefix.clone() });
        prefix.truncate(depth);
    }
}

fn is_punct(token: Option<&TokenTree>, expected: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

/// `::name` at the front.
fn next_segment(tokens: &[TokenTree]) -> Option<(&Ident, &[TokenTree])> {
    match tokens {
        [TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(name), rest @ ..]
            if one.as_char() == ':' && two.as_char() == ':' =>
        {
            Some((name, rest))
        }
        _ => None,
    }
}

fn after_segments(mut tokens: &[TokenTree]) -> &[TokenTree] {
    while let Some((_, rest)) = next_segment(tokens) {
        tokens = rest;
    }
    tokens
}

/// `cfg(test)`, and `cfg(any(test, …))`; not `cfg(not(test))`.
fn is_cfg_test(attribute: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = attribute.into_iter().collect();
    let [TokenTree::Ident(cfg), TokenTree::Group(condition)] = &tokens[..] else { return false };
    let text = condition.stream().to_string();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    cfg == "cfg" && words.clone().any(|word| word == "test") && !words.any(|word| word == "not")
}

/// What is left after the item, field, match arm or statement at the front.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    const WHOLE: [&str; 14] = [
        "pub",
        "mod",
        "fn",
        "struct",
        "enum",
        "union",
        "trait",
        "impl",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
        "let",
        "type",
    ];
    let starts_with = |words: &[&str]| match tokens.first() {
        Some(TokenTree::Ident(first)) => words.iter().any(|word| first == word),
        _ => false,
    };
    // Braces do not end these, and commas do not end the others.
    let to_semicolon = starts_with(&["use", "const", "static", "let"])
        || matches!(tokens, [TokenTree::Ident(first), TokenTree::Ident(second), ..] if first == "pub" && second == "use");
    let item = to_semicolon || starts_with(&WHOLE);
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => !to_semicolon && group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';' || (!item && punct.as_char() == ','),
        _ => false,
    });
    end.map_or(&[], |end| &tokens[end + 1..])
}
