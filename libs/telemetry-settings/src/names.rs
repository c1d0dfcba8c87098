//! Tells a misspelt setting from a variable that is meant for somebody else.

use crate::error::InvalidSetting;
use crate::program::{Program, Variable};

/// What a variable with the program's prefix is when the program does not know its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Meant for the program, and wrong.
    Mistake(InvalidSetting),
    /// Another program's.
    OtherProgram,
    /// Nobody's that is known.
    Foreign,
}

/// What `name` is. Kubernetes, for one, puts `SHOP_TILL_SERVICE_HOST` into each pod beside a Service named `shop-till`: what
/// the platform adds must not stop a program.
pub(crate) fn unknown(program: &Program, name: &str) -> Unknown {
    let distance = |variable: &&&Variable| strsim::damerau_levenshtein(variable.name, name);
    let nearest = program.variables.iter().min_by_key(distance).map(|variable| variable.name);
    let did_you_mean = |similar: &dyn Fn(&str) -> bool| {
        let nearest = nearest.filter(|nearest| similar(nearest))?;
        Some(mistake(name, format!("no such setting; did you mean {nearest}?")))
    };

    if program.other_programs.iter().any(|prefix| name.starts_with(prefix)) {
        // Programs share sections, and the other one has names that are much like ours.
        let one_edit = |nearest: &str| strsim::damerau_levenshtein(nearest, name) == 1;
        return did_you_mean(&one_edit).unwrap_or(Unknown::OtherProgram);
    }
    let section = section(name);
    // No variable of a Kubernetes Service has two underscores in a row, but SHOP_HTTP_PORT is much like SHOP_HTTP__PORT.
    let enough = if section.is_some() { 0.8 } else { 0.9 };
    let similar = |nearest: &str| strsim::normalized_damerau_levenshtein(nearest, name) > enough;
    let is_ours = section.is_some() && program.variables.iter().any(|variable| self::section(variable.name) == section);
    match did_you_mean(&similar) {
        Some(mistake) => mistake,
        None if is_ours => mistake(name, "no such setting; --help lists all".to_owned()),
        None => Unknown::Foreign,
    }
}

fn section(name: &str) -> Option<&str> {
    name.split_once("__").map(|(section, _)| section)
}

fn mistake(name: &str, problem: String) -> Unknown {
    Unknown::Mistake(InvalidSetting::new(name, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SHOP, VARIABLES};

    #[test]
    fn names_the_setting_that_is_misspelt() {
        // One of them is in a section that is shared with another program.
        for variable in VARIABLES {
            let letters: Vec<char> = variable.name.chars().collect();
            // Each letter behind the prefix left out, doubled, and swapped with the next one.
            for at in SHOP.prefix.len()..letters.len() {
                let (mut less, mut more, mut swapped) = (letters.clone(), letters.clone(), letters.clone());
                less.remove(at);
                more.insert(at, letters[at]);
                swapped.swap(at, (at + 1).min(letters.len() - 1));
                for name in [less, more, swapped].map(String::from_iter).iter().filter(|name| *name != variable.name) {
                    let expected = format!("no such setting; did you mean {}?", variable.name);
                    assert_eq!(unknown(SHOP, name), mistake(name, expected));
                }
            }
        }
    }

    #[test]
    fn refuses_any_name_in_a_section_of_the_program() {
        let expected = mistake("SHOP_HTTP__NOISE", "no such setting; --help lists all".to_owned());
        assert_eq!(unknown(SHOP, "SHOP_HTTP__NOISE"), expected);
    }

    #[test]
    fn passes_over_names_of_other_programs() {
        assert_eq!(unknown(SHOP, "SHOP_TILL__LISTEN"), Unknown::OtherProgram);
        assert_eq!(unknown(SHOP, "SHOP_QUEUE__ENCODING"), Unknown::OtherProgram, "of a section that is shared");
        assert_eq!(unknown(SHOP, "SHOP_PYTHON"), Unknown::OtherProgram);
    }

    #[test]
    fn ignores_what_a_platform_adds() {
        for service in ["SHOP", "SHOP_HTTP", "SHOP_QUEUE", "SHOP_TILL"] {
            for suffix in
                ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
            {
                assert_eq!(unknown(SHOP, &format!("{service}_{suffix}")), Unknown::Foreign, "{service}_{suffix}");
            }
        }
        assert_eq!(unknown(SHOP, "SHOP_WHATEVER__ELSE"), Unknown::Foreign);
    }
}
