//! Collects the values from the environment and the mistakes in them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::{fmt, fs};

use config::builder::DefaultState;
use config::{Config, ConfigBuilder, ConfigError, Environment};

use crate::error::{InvalidSetting, InvalidSettings};
use crate::in_force::{Found, InForce, Origin};
use crate::names::{Unknown, unknown};
use crate::parse::Parsed;
use crate::program::{Program, Variable};
use crate::secret::Secret;

/// Reads variable by variable and keeps every mistake for the end. Its `Debug` shows no value.
pub struct Reader {
    program: &'static Program,
    values: Config,
    origins: BTreeMap<&'static str, Origin>,
    standards: BTreeMap<String, OsString>,
    in_force: InForce,
    mistakes: Vec<InvalidSetting>,
}

impl Reader {
    /// Sorts `vars`, such as [`std::env::vars_os`], for `program`, and reads the files that hold its secrets.
    #[must_use]
    pub fn new(program: &'static Program, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self {
            program,
            values: Config::default(),
            origins: BTreeMap::new(),
            standards: BTreeMap::new(),
            in_force: InForce::default(),
            mistakes: Vec::new(),
        };
        let mut ours = reader.sort(vars);
        let known = reader.take_known(&mut ours);
        for name in ours.into_keys() {
            match unknown(program, &name) {
                Unknown::Mistake(mistake) => reader.mistakes.push(mistake),
                Unknown::OtherProgram => {}
                Unknown::Foreign => reader.in_force.ignored.push(name),
            }
        }
        match layered(program, known) {
            Ok(values) => reader.values = values,
            Err(error) => reader.mistakes.push(InvalidSetting::new(program.prefix, error.to_string())),
        }
        reader
    }

    /// The value of `variable`. A mistake is kept for [`finish`](Self::finish), and the default stands in until then.
    ///
    /// # Panics
    /// When `variable` is not in the program's table, or `parse` refuses its default: a test of the program that reads an
    /// empty environment shows it.
    pub fn read<T>(&mut self, variable: &'static Variable, parse: impl Fn(&str) -> Parsed<T>) -> T {
        let Program { name: program, variables, .. } = self.program;
        let is_in_table = variables.iter().any(|known| known.name == variable.name);
        assert!(is_in_table, "{} is not a variable of {program}", variable.name);
        let path = path(self.program, variable);
        let value = self.values.get_string(&path).unwrap_or_else(|_| variable.default.to_owned());
        let parsed = parse(&value);
        if parsed.is_err() {
            let shown = if variable.secret { "the value".to_owned() } else { format!("{value:?}") };
            let problem = format!("{shown} is not {}", variable.allowed);
            self.mistakes.push(InvalidSetting::new(variable.name, problem));
        }
        let origin = self.origins.get(variable.name).copied().unwrap_or(Origin::Default);
        self.in_force.found.push(Found { variable, value: Secret::new(value), origin });
        #[allow(clippy::expect_used, reason = "a start-up invariant, held by tests")]
        parsed.or_else(|_| parse(variable.default)).expect("every default is allowed")
    }

    /// The value of a variable of one of the program's [standards](Program::standards), if it is set.
    #[must_use]
    pub fn standard(&self, name: &str) -> Option<&OsStr> {
        self.standards.get(name).map(OsString::as_os_str)
    }

    /// What was read, in the order of the program's table.
    ///
    /// # Errors
    /// Every mistake that was found on the way.
    pub fn finish(mut self) -> Result<InForce, InvalidSettings> {
        let place = |found: &Found| self.program.variables.iter().position(|known| known.name == found.variable.name);
        self.in_force.found.sort_by_key(place);
        if self.mistakes.is_empty() { Ok(self.in_force) } else { Err(InvalidSettings(self.mistakes)) }
    }

    /// The variables with the program's prefix. Those of standards are put aside. An empty one counts as unset.
    fn sort(&mut self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, OsString> {
        let mut ours = BTreeMap::new();
        for (name, value) in vars {
            let Some(name) = name.to_str().filter(|_| !value.is_empty()) else { continue };
            if self.program.standards.iter().any(|standard| name.starts_with(standard.prefix)) {
                self.standards.insert(name.to_owned(), value);
            } else if name.starts_with(self.program.prefix) {
                ours.insert(name.to_owned(), value);
            }
        }
        ours
    }

    /// The values of the program's variables, taken out of `ours` or read from the files that `ours` names.
    fn take_known(&mut self, ours: &mut BTreeMap<String, OsString>) -> BTreeMap<String, String> {
        let mut known = BTreeMap::new();
        for variable in self.program.variables {
            let file = if variable.secret { ours.remove(&variable.in_file()) } else { None };
            let (value, origin) = match (ours.remove(variable.name), file) {
                (Some(_), Some(_)) => {
                    let problem = format!("is set, and so is {}; set one of them", variable.in_file());
                    (Err(InvalidSetting::new(variable.name, problem)), Origin::Environment)
                }
                (Some(value), None) => (of_environment(variable, value), Origin::Environment),
                (None, Some(path)) => (of_file(variable, Path::new(&path)), Origin::File),
                (None, None) => continue,
            };
            match value {
                Ok(value) => {
                    self.origins.insert(variable.name, origin);
                    known.insert(variable.name.to_owned(), value);
                }
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        known
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("program", &self.program.name).finish_non_exhaustive()
    }
}

fn of_environment(variable: &Variable, value: OsString) -> Result<String, InvalidSetting> {
    value.into_string().map_err(|_| InvalidSetting::new(variable.name, "is not UTF-8"))
}

fn of_file(variable: &Variable, path: &Path) -> Result<String, InvalidSetting> {
    let content = fs::read_to_string(path).map_err(|error| {
        // A URL in place of the path may hold a password.
        let problem = if path.to_string_lossy().contains("://") {
            format!("the value is a URL, not the path of a file; set it as {}", variable.name)
        } else {
            format!("cannot read {path:?}: {error}")
        };
        InvalidSetting::new(variable.in_file(), problem)
    })?;
    Ok(content.trim_end().to_owned())
}

/// The defaults, and above them what was set.
fn layered(program: &Program, set: BTreeMap<String, String>) -> Result<Config, ConfigError> {
    let mut builder = ConfigBuilder::<DefaultState>::default();
    for variable in program.variables {
        builder = builder.set_default(path(program, variable), variable.default)?;
    }
    let environment = Environment::with_prefix(program.prefix.strip_suffix('_').unwrap_or(program.prefix))
        .prefix_separator("_")
        .separator("__")
        .source(Some(set.into_iter().collect()));
    builder.add_source(environment).build()
}

/// Where the value of `SHOP_HTTP__LISTEN` is: `http.listen`.
fn path(program: &Program, variable: &Variable) -> String {
    variable.name.strip_prefix(program.prefix).unwrap_or(variable.name).to_lowercase().replace("__", ".")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;
    use crate::parse;
    use crate::testing::{LISTEN, SHOP, URL, WELCOME};

    #[derive(Debug)]
    struct Read {
        listen: SocketAddr,
        welcome: String,
        url: Secret,
        in_force: InForce,
    }

    fn url(text: &str) -> Parsed<Secret> {
        if text.starts_with("queue://") { Ok(Secret::new(text)) } else { Err(parse::NotAllowed) }
    }

    fn read_os(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Read, InvalidSettings> {
        let mut reader = Reader::new(SHOP, vars);
        Ok(Read {
            listen: reader.read(LISTEN, parse::from_str),
            welcome: reader.read(WELCOME, parse::text),
            url: reader.read(URL, url),
            in_force: reader.finish()?,
        })
    }

    fn read(vars: &[(&str, &str)]) -> Result<Read, String> {
        read_os(vars.iter().map(|(name, value)| (name.into(), value.into()))).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn takes_what_is_set_over_the_defaults() {
        let read = read(&[("SHOP_HTTP__WELCOME", "Good Day"), ("SHOP_HTTP__LISTEN", ""), ("HOME", "/root")]).unwrap();
        assert_eq!((read.listen.port(), read.welcome.as_str()), (8080, "Good Day"));
        assert_eq!(read.url.expose(), "queue://127.0.0.1");
        assert!(read.in_force.ignored().is_empty());
    }

    #[test]
    fn reports_every_mistake_at_once() {
        let lines = read(&[
            ("SHOP_HTTP__LISTEN", "here"),
            ("SHOP_HTTP__LISTN", "[::]:80"),
            ("SHOP_HTTP__NOISE", "1"),
            ("SHOP_QUEUE__URL", "http://:hunter2@host"),
        ]);
        assert_eq!(
            lines.unwrap_err().lines().collect::<Vec<_>>(),
            [
                "SHOP_HTTP__LISTN: no such setting; did you mean SHOP_HTTP__LISTEN?",
                "SHOP_HTTP__NOISE: no such setting; --help lists all",
                "SHOP_HTTP__LISTEN: \"here\" is not an IP address and a port",
                "SHOP_QUEUE__URL: the value is not a URL such as queue://user:password@host",
            ]
        );
    }

    #[test]
    fn refuses_values_that_are_not_utf_8() {
        let bytes = OsString::from_vec(vec![0xff]);
        let mistake = read_os([("SHOP_HTTP__WELCOME".into(), bytes)]).unwrap_err();
        assert_eq!(mistake.to_string(), "SHOP_HTTP__WELCOME: is not UTF-8");
    }

    #[test]
    fn hides_values_in_debug_output() {
        let vars = [("SHOP_QUEUE__URL", "queue://:hunter2@host"), ("WEATHER_KEY", "hunter2")];
        let reader = Reader::new(SHOP, vars.map(|(name, value)| (name.into(), value.into())));
        let shown = format!("{reader:?}");
        assert!(shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn hides_a_secret_that_is_given_as_the_path_of_its_file() {
        let mistake = read(&[("SHOP_QUEUE__URL_FILE", "queue://:hunter2@host")]).unwrap_err();
        assert_eq!(
            mistake,
            "SHOP_QUEUE__URL_FILE: the value is a URL, not the path of a file; set it as SHOP_QUEUE__URL"
        );
    }

    #[test]
    fn finds_a_section_that_is_named_like_the_prefix() {
        const NAME: &Variable = &Variable { name: "SHOP_SHOP_OWNER__NAME", ..*WELCOME };
        const PROGRAM: &Program = &Program { variables: &[NAME], other_programs: &[], ..*SHOP };
        let mut reader = Reader::new(PROGRAM, [("SHOP_SHOP_OWNER__NAME".into(), "Ada".into())]);
        assert_eq!(reader.read(NAME, parse::text), "Ada");
    }

    #[test]
    #[should_panic(expected = "SHOP_HTTP__WELCOME is not a variable of shop")]
    fn panics_at_a_variable_that_is_not_in_the_table() {
        const PROGRAM: &Program = &Program { variables: &[LISTEN], ..*SHOP };
        Reader::new(PROGRAM, []).read(WELCOME, parse::text);
    }

    #[test]
    fn ignores_values_of_others_that_are_not_utf_8() {
        let bytes = || OsString::from_vec(vec![0xff]);
        let vars = [("SHOP_SERVICE_HOST".into(), bytes()), ("SHOP_TILL__NAME".into(), bytes())];
        assert_eq!(read_os(vars).unwrap().in_force.ignored(), ["SHOP_SERVICE_HOST"]);
        let misspelt = read_os([("SHOP_HTTP__LISTN".into(), bytes())]).unwrap_err();
        assert_eq!(misspelt.to_string(), "SHOP_HTTP__LISTN: no such setting; did you mean SHOP_HTTP__LISTEN?");
    }

    #[test]
    fn reads_a_secret_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "queue://:hunter2@host\n").unwrap();
        let path = file.path().to_str().unwrap();

        let from_file = read(&[("SHOP_QUEUE__URL_FILE", path)]).unwrap();
        assert_eq!(from_file.url.expose(), "queue://:hunter2@host");
        let printed = from_file.in_force.print();
        assert!(printed.contains("SHOP_QUEUE__URL=queue://:***@host"), "{printed}");
        assert!(printed.contains("# SHOP_QUEUE__URL_FILE"), "{printed}");

        let both = read(&[("SHOP_QUEUE__URL_FILE", path), ("SHOP_QUEUE__URL", "queue://host")]);
        assert_eq!(both.unwrap_err(), "SHOP_QUEUE__URL: is set, and so is SHOP_QUEUE__URL_FILE; set one of them");
        let absent = read(&[("SHOP_QUEUE__URL_FILE", "/does/not/exist")]).unwrap_err();
        assert!(absent.starts_with("SHOP_QUEUE__URL_FILE: cannot read \"/does/not/exist\": "), "{absent}");
        let no_secret = read(&[("SHOP_HTTP__WELCOME_FILE", path)]).unwrap_err();
        assert!(no_secret.starts_with("SHOP_HTTP__WELCOME_FILE: no such setting"), "{no_secret}");
    }

    #[test]
    fn keeps_the_names_that_it_ignores() {
        let vars = [("SHOP_SERVICE_HOST", "10.0.0.1"), ("SHOP_TILL__LISTEN", "[::]:1"), ("SHOP_PYTHON", "python3")];
        assert_eq!(read(&vars).unwrap().in_force.ignored(), ["SHOP_SERVICE_HOST"]);
    }

    #[test]
    fn hands_out_variables_of_standards() {
        let reader =
            Reader::new(SHOP, [("WEATHER_STATION".into(), "north".into()), ("WEATHER_WIND".into(), "".into())]);
        assert_eq!(reader.standard("WEATHER_STATION"), Some(OsStr::new("north")));
        assert_eq!((reader.standard("WEATHER_WIND"), reader.standard("WEATHER_RAIN")), (None, None));
    }

    /// Names that are the program's, nearly so, or anybody's.
    fn any_name() -> impl Strategy<Value = String> {
        let ours =
            prop::sample::select(vec![LISTEN.name, WELCOME.name, URL.name, "SHOP_", "SHOP_QUEUE__", "SHOP_TILL__"]);
        prop_oneof![
            ours.clone().prop_map(str::to_owned),
            (ours.clone(), "[A-Z_\\PC]{0,3}").prop_map(|(name, more)| name.to_owned() + &more),
            (ours, 0_usize..20).prop_map(|(name, length)| name.chars().take(length).collect()),
            "\\PC*",
        ]
    }

    proptest! {
        #[test]
        fn any_environment_is_read_or_refused_with_a_line_each(
            vars in prop::collection::btree_map(any_name(), "\\PC*|queue://[a-z]*:hunter2@host|127.0.0.1:1", 0..6),
        ) {
            // Files of whoever runs this are not read.
            let vars = vars.into_iter().filter(|(name, _)| !name.ends_with("_FILE"));
            let shown = match read_os(vars.map(|(name, value)| (name.into(), value.into()))) {
                Ok(read) => read.in_force.print(),
                Err(mistakes) => {
                    let lines = mistakes.to_string();
                    prop_assert_eq!(lines.lines().count(), mistakes.0.len());
                    prop_assert!(!mistakes.0.is_empty() && lines.lines().all(|line| line.starts_with("SHOP_")), "{}", lines);
                    lines
                }
            };
            let of_the_url: Vec<_> = shown.lines().filter(|line| line.starts_with(URL.name)).collect();
            prop_assert!(!of_the_url.join("").contains("hunter2"), "{}", shown);
        }
    }
}
