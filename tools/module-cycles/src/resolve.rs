//! From a path in the source to the module that it leads to.

use crate::tree::Module;

/// Re-exports of re-exports end here.
const MAX_DEPTH: usize = 16;

/// The module where the item lives that `path` names in the module at `from`. `None` if it is of another crate.
pub(crate) fn resolve(root: &Module, from: &[String], path: &[String]) -> Option<Vec<String>> {
    follow(root, from, path, MAX_DEPTH).map(|target| target.module)
}

struct Target {
    module: Vec<String>,
    /// Whether the module itself is named; otherwise an item in it.
    is_module: bool,
}

fn follow(root: &Module, from: &[String], path: &[String], depth: usize) -> Option<Target> {
    let mut target = Target { module: from.to_vec(), is_module: true };
    let mut rest = path;
    while let [first, after @ ..] = rest {
        match first.as_str() {
            "crate" => target.module.clear(),
            "self" => {}
            "super" => drop(target.module.pop()?),
            _ => break,
        }
        rest = after;
    }
    // Without such a word a path starts at what is in scope, which may be another crate.
    let mut named = rest.len() < path.len();
    for name in rest {
        match look_up(root, &target.module, name, depth) {
            Some(next) => target = next,
            None if named => target.is_module = false,
            None => return None,
        }
        named = true;
        if !target.is_module {
            break;
        }
    }
    Some(target)
}

/// What `name` is in the module at `at`.
fn look_up(root: &Module, at: &[String], name: &str, depth: usize) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    let module = root.at(at)?;
    if module.children.contains_key(name) {
        return Some(Target { module: [at, &[name.to_owned()]].concat(), is_module: true });
    }
    if module.items.contains(name) {
        return Some(Target { module: at.to_vec(), is_module: false });
    }
    // A `use` of a crate's name leads to itself.
    let imports = module.imports.iter().filter(|import| import.path.first().is_some_and(|first| first != name));
    let (globs, named): (Vec<_>, Vec<_>) = imports.partition(|import| import.name.is_none());
    if let Some(import) = named.iter().find(|import| import.name.as_deref() == Some(name)) {
        return follow(root, at, &import.path, depth);
    }
    globs.iter().find_map(|import| {
        let from = follow(root, at, &import.path, depth).filter(|target| target.is_module && target.module != at)?;
        look_up(root, &from.module, name, depth)
    })
}
