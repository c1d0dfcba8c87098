//! The module tree of a crate, read from its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

use crate::scan::{Import, Reference, scan};

/// A module: what it declares and which paths it mentions.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) children: BTreeMap<String, Module>,
    pub(crate) imports: Vec<Import>,
    pub(crate) items: BTreeSet<String>,
    pub(crate) references: Vec<Reference>,
    pub(crate) file: PathBuf,
}

/// How files are read; `None` if there is no such file.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

impl Module {
    /// Reads a crate from its root file. Fails with one line that names the file.
    pub(crate) fn load(root: &Path, read: Read<'_>) -> Result<Self, String> {
        let directory = root.parent().unwrap_or(Path::new("")).to_owned();
        Self::from_file(root, &directory, read)
    }

    /// `directory` is where the files of its children are.
    fn from_file(file: &Path, directory: &Path, read: Read<'_>) -> Result<Self, String> {
        let text = read(file).ok_or_else(|| format!("{}: there is no such file", file.display()))?;
        let tokens: TokenStream = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
        Self::from_tokens(tokens, file, directory, read)
    }

    fn from_tokens(tokens: TokenStream, file: &Path, directory: &Path, read: Read<'_>) -> Result<Self, String> {
        let scanned = scan(tokens);
        let mut module = Self {
            imports: scanned.imports,
            items: scanned.items,
            references: scanned.references,
            file: file.to_owned(),
            ..Self::default()
        };
        for (name, body) in scanned.modules {
            let below = directory.join(&name);
            let child = match body {
                Some(tokens) => Self::from_tokens(tokens, file, &below, read)?,
                None => {
                    let beside = directory.join(format!("{name}.rs"));
                    let inside = below.join("mod.rs");
                    Self::from_file(if read(&beside).is_some() { &beside } else { &inside }, &below, read)?
                }
            };
            module.children.insert(name, child);
        }
        Ok(module)
    }

    /// The module at this path, counted from here.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |module, name| module.children.get(name))
    }

    /// Calls `visit` with this module and all below it, and their paths.
    pub(crate) fn walk<'a>(&'a self, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &'a Self)) {
        visit(path, self);
        for (name, child) in &self.children {
            path.push(name.clone());
            child.walk(path, visit);
            path.pop();
        }
    }
}
