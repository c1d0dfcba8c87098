//! Cycles among the siblings at each level of a module tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::resolve::resolve;
use crate::tree::Module;

/// Modules that depend on each other: each on the next, the last on the first.
#[derive(Debug)]
pub(crate) struct Cycle {
    steps: Vec<(String, Vec<String>)>,
}

/// From a module to a sibling, and the places where it refers to it.
type Edges = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Every cycle that is the shortest through one of its references, each once.
pub(crate) fn find(root: &Module) -> Vec<Cycle> {
    let mut levels: BTreeMap<Vec<String>, Edges> = BTreeMap::new();
    root.walk(&mut Vec::new(), &mut |path, module| {
        for reference in &module.references {
            let Some(target) = resolve(root, path, &reference.path) else { continue };
            let common = path.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (path.get(common), target.get(common)) {
                let place = format!("{}:{}", module.file.display(), reference.line);
                let edges = levels.entry(path[..common].to_vec()).or_default();
                let places = edges.entry(from.clone()).or_default().entry(to.clone()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
    });
    levels.iter().flat_map(|(level, edges)| of_level(level, edges)).collect()
}

fn of_level(level: &[String], edges: &Edges) -> Vec<Cycle> {
    let mut seen = BTreeSet::new();
    for (from, targets) in edges {
        for to in targets.keys() {
            if let Some(mut nodes) = shortest_path(edges, to, from) {
                let first = nodes.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(index, _)| index);
                nodes.rotate_left(first);
                seen.insert(nodes);
            }
        }
    }
    let full_name = |name: &String| [level, std::slice::from_ref(name)].concat().join("::");
    seen.iter()
        .map(|nodes| {
            let following = nodes.iter().cycle().skip(1);
            let steps = nodes.iter().zip(following).map(|(from, to)| (full_name(from), edges[from][to].clone()));
            Cycle { steps: steps.collect() }
        })
        .collect()
}

/// The modules on the way, both ends included.
fn shortest_path(edges: &Edges, from: &str, to: &str) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![from.to_owned()]]);
    let mut visited = BTreeSet::from([from.to_owned()]);
    while let Some(path) = queue.pop_front() {
        let last = path.last()?;
        if last == to {
            return Some(path);
        }
        for next in edges.get(last).into_iter().flat_map(BTreeMap::keys) {
            if visited.insert(next.clone()) {
                queue.push_back([&path[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = || self.steps.iter().map(|(name, _)| name.as_str());
        let all: Vec<&str> = names().chain(names().take(1)).collect();
        write!(f, "{}", all.join(" → "))?;
        for ((from, places), to) in self.steps.iter().zip(&all[1..]) {
            write!(f, "\n    {from} → {to}: {}", places.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
