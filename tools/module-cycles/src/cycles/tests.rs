use std::collections::HashMap;
use std::path::Path;

use super::find;
use crate::tree::Module;

/// The cycles of a crate with these files in `src`, as they are printed.
fn cycles(files: &[(&str, &str)]) -> Vec<String> {
    let files: HashMap<_, _> =
        files.iter().map(|(name, text)| (Path::new("src").join(name), (*text).to_owned())).collect();
    let root = Module::load(Path::new("src/lib.rs"), &|file| files.get(file).cloned()).unwrap();
    find(&root).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_acyclic(files: &[(&str, &str)]) {
    assert_eq!(cycles(files), Vec::<String>::new());
}

const A_AND_B: (&str, &str) = ("lib.rs", "mod a; mod b;");

#[test]
fn reports_two_modules_that_import_each_other_with_the_lines() {
    let found = cycles(&[
        A_AND_B,
        ("a.rs", "use crate::b::B;\npub struct A(B);"),
        ("b.rs", "pub struct B;\nimpl B {\n    fn a() -> super::a::A { todo!() }\n}"),
    ]);
    assert_eq!(found, ["a → b → a\n    a → b: src/a.rs:1\n    b → a: src/b.rs:3"]);
}

#[test]
fn accepts_imports_in_one_direction() {
    assert_acyclic(&[A_AND_B, ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")]);
}

#[test]
fn reports_a_cycle_of_three_once() {
    let found = cycles(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b;"),
        ("b.rs", "use crate::c::{self, C};"),
        ("c.rs", "use super::a::*; pub struct C;"),
    ]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("a → b → c → a\n"), "{}", found[0]);
}

#[test]
fn reports_every_cycle_through_one_module() {
    let found = cycles(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::{b::B, c::C}; pub struct A;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
        ("c.rs", "use crate::a::A; pub struct C;"),
    ]);
    assert_eq!(found.len(), 2);
}

#[test]
fn counts_a_module_and_its_children_as_one() {
    let found = cycles(&[
        A_AND_B,
        ("a.rs", "mod below; pub struct A;"),
        ("a/below.rs", "use crate::b::B;"),
        ("b/mod.rs", "pub mod deep { pub mod deeper { use crate::a::A; } } pub struct B;"),
    ]);
    assert_eq!(found, ["a → b → a\n    a → b: src/a/below.rs:1\n    b → a: src/b/mod.rs:1"]);
}

#[test]
fn reports_a_cycle_below_the_root_with_full_names() {
    let found = cycles(&[
        ("lib.rs", "mod top;"),
        ("top.rs", "mod a { use super::b::B; pub struct A; } mod b { use super::a::A; pub struct B; }"),
    ]);
    assert!(found[0].starts_with("top::a → top::b → top::a\n"), "{}", found[0]);
}

#[test]
fn accepts_parent_and_child_that_refer_to_each_other() {
    assert_acyclic(&[
        ("lib.rs", "mod a; pub use a::A; pub struct Root;"),
        ("a.rs", "mod child; use child::Child; use crate::Root; pub struct A(Child);"),
        ("a/child.rs", "use super::A; pub struct Child;"),
    ]);
}

#[test]
fn follows_reexports_of_the_parent() {
    let found = cycles(&[
        ("lib.rs", "mod a; mod b; pub use b::B; pub use a::*;"),
        ("a.rs", "pub struct A; fn f(_: crate::B) {}"),
        ("b.rs", "pub struct B; fn f(_: super::A) {}"),
    ]);
    assert_eq!(found.len(), 1);
}

#[test]
fn follows_renamed_imports() {
    let found = cycles(&[
        ("lib.rs", "mod a; mod b; use b::B as Other;"),
        ("a.rs", "use crate::Other; pub struct A;"),
        ("b.rs", "use crate::a::{A as _}; pub struct B;"),
    ]);
    assert_eq!(found.len(), 1);
}

#[test]
fn sees_paths_in_arguments_of_macros() {
    let found = cycles(&[
        A_AND_B,
        ("a.rs", "fn f() { println!(\"{}\", crate::b::NUMBER); } pub const NUMBER: u8 = 1;"),
        ("b.rs", "fn f() { println!(\"{}\", crate::a::NUMBER); } pub const NUMBER: u8 = 1;"),
    ]);
    assert_eq!(found.len(), 1);
}

#[test]
fn ignores_code_for_tests() {
    assert_acyclic(&[
        ("lib.rs", "mod a; mod b; #[cfg(test)] mod missing; #[cfg(any(test, feature = \"testing\"))] mod missing_too;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        (
            "b.rs",
            "pub struct B { #[cfg(test)] a: crate::a::A, b: u8 }
             #[cfg(test)] use crate::a::{A};
             #[cfg(test)] pub(crate) fn of<T, U>(_: crate::a::A) { crate::a::f() }
             #[cfg(test)] mod tests { use crate::a::A; }",
        ),
    ]);
}

#[test]
fn sees_code_that_is_not_for_tests() {
    let found = cycles(&[
        A_AND_B,
        ("a.rs", "#[cfg(not(test))] use crate::b::B; pub struct A;"),
        ("b.rs", "#[cfg(test)] use std::fmt; use crate::a::A; pub struct B;"),
    ]);
    assert_eq!(found.len(), 1);
}

#[test]
fn ignores_comments_strings_visibilities_and_other_crates() {
    assert_acyclic(&[
        A_AND_B,
        ("a.rs", "use crate::b::B; pub struct A;"),
        (
            "b.rs",
            "//! See [`crate::a`].
             /// As [`crate::a::A`], crate::a::A
             pub(in crate::a) struct B; // crate::a::A
             const TEXT: &str = \"crate::a::A\";
             use other::a::A; use ::a::A as Foreign;
             fn f() -> impl Sized + use<'static> { a.iter().map(|a| a.collect::<Vec<u8>>()); other::crate_a::b() }",
        ),
    ]);
}

#[test]
fn names_the_file_that_is_missing() {
    let error =
        Module::load(Path::new("src/lib.rs"), &|file| (file == Path::new("src/lib.rs")).then(|| "mod a;".to_owned()));
    assert_eq!(error.unwrap_err(), "src/a/mod.rs: there is no such file");
}
