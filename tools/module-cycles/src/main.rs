//! Finds modules of one crate that depend on each other in a cycle: `module-cycles ROOT…`, where each root is a `lib.rs` or `main.rs`.
//!
//! The compiler accepts cycles between modules. Two modules in a cycle can only be understood, tested and moved together, so this
//! repository does without. Modules are compared with their siblings: a module and everything below it count as one, and so
//! references between a parent and its children are no cycle. Code under `#[cfg(test)]` is ignored.
//!
//! What counts as a reference is every path in the tokens of the source, arguments of macros included, followed through `use`
//! declarations and re-exports. A name that only a glob import brings into scope is not followed, and neither are names inside
//! attributes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cycles;
mod resolve;
mod scan;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let roots: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if roots.is_empty() {
        eprintln!("usage: module-cycles ROOT…, where each root is a lib.rs or main.rs");
        return ExitCode::from(2);
    }
    let mut found = 0;
    for root in &roots {
        match tree::Module::load(root, &|file| fs::read_to_string(file).ok()) {
            Ok(module) => {
                for cycle in cycles::find(&module) {
                    found += 1;
                    println!("error: modules depend on each other in {}: {cycle}", crate_name(root));
                }
            }
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if found == 0 {
        println!("{} crates without a cycle between modules", roots.len());
        return ExitCode::SUCCESS;
    }
    println!("fix: move what both modules need into a module of its own, below both");
    ExitCode::FAILURE
}

/// The directory above `src`.
fn crate_name(root: &Path) -> String {
    let mut parts = root.components().rev().skip(2);
    parts.next().map_or_else(|| root.display().to_string(), |part| part.as_os_str().to_string_lossy().into_owned())
}
