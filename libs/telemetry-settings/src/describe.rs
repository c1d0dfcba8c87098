//! The variables in words: for `--help`, and for a page of reference.

use std::fmt::Write;

use crate::program::Program;

impl Program {
    /// Every variable for `--help`.
    #[must_use]
    pub fn help(&self) -> String {
        let mut text = String::from("Environment (an empty value counts as unset):\n");
        for variable in self.variables {
            let _ = write!(text, "\n  {}={}\n", variable.name, variable.default);
            let _ = writeln!(text, "      {}", variable.meaning);
            let _ = writeln!(text, "      Must be {}.", variable.allowed);
            if variable.secret {
                let _ = writeln!(text, "      Or {}: the file that holds it.", variable.in_file());
            }
        }
        for standard in self.standards {
            let _ = writeln!(text, "\n{}, by the variables of its specification. {}", standard.name, standard.meaning);
            for (name, meaning) in standard.variables {
                let _ = write!(text, "\n  {name}\n      {meaning}\n");
            }
        }
        text
    }

    /// Every variable as a page of Markdown, titled `title`. A test `documentation_test` of the program is to write it and
    /// to hold it to the code.
    #[must_use]
    pub fn reference(&self, title: &str) -> String {
        let Self { name, prefix, .. } = self;
        let mut text = format!(
            "# {title}\n\n\
             <!-- Generated: UPDATE_DOCS=1 cargo test -p {name} --test documentation_test -->\n\n\
             Every setting comes from the environment. An empty value counts as unset. A wrong value or a misspelt name stops \
             the start with one line for each mistake and exit code 78. Names of other programs are passed over. Any other \
             variable that begins with `{prefix}` is ignored, with one warning.\n\n\
             `{name} --print-config` shows what is in force and where it comes from.\n\n\
             | variable | default | allowed | meaning |\n| --- | --- | --- | --- |\n",
        );
        for variable in self.variables {
            let default = if variable.default.is_empty() { String::new() } else { format!("`{}`", variable.default) };
            let file = if variable.secret {
                format!(" `{}` names a file that holds it instead.", variable.in_file())
            } else {
                String::new()
            };
            let (name, allowed, meaning) = (variable.name, variable.allowed, variable.meaning);
            let _ = writeln!(text, "| `{name}` | {default} | {allowed} | {meaning}{file} |");
        }
        for standard in self.standards {
            let _ = write!(
                text,
                "\n## {}\n\nThe variables of the {} specification. {} The most used:\n\n\
                 | variable | meaning |\n| --- | --- |\n",
                standard.name, standard.name, standard.meaning
            );
            for (name, meaning) in standard.variables {
                let _ = writeln!(text, "| `{name}` | {meaning} |");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{SHOP, VARIABLES};

    #[test]
    fn help_says_what_each_variable_may_be() {
        let help = SHOP.help();
        let listen = "\n  SHOP_HTTP__LISTEN=127.0.0.1:8080\n      Where the shop is served.\n      Must be an IP address and a port.\n";
        assert!(help.contains(listen), "{help}");
        assert!(help.contains("      Or SHOP_QUEUE__URL_FILE: the file that holds it.\n"), "{help}");
        assert!(help.contains("\n  WEATHER_STATION\n      Where readings go.\n"), "{help}");
    }

    #[test]
    fn reference_has_a_row_for_each_variable() {
        let reference = SHOP.reference("The shop");
        for variable in VARIABLES {
            assert!(reference.contains(&format!("\n| `{}` | ", variable.name)), "{reference}");
        }
        let listen =
            "| `SHOP_HTTP__LISTEN` | `127.0.0.1:8080` | an IP address and a port | Where the shop is served. |\n";
        assert!(reference.contains(listen), "{reference}");
        assert!(reference.contains("`SHOP_QUEUE__URL_FILE` names a file that holds it instead."), "{reference}");
        assert!(reference.contains("| `WEATHER_STATION` | Where readings go. |"), "{reference}");
    }
}
