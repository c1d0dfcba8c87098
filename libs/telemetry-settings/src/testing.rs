//! A program for tests.

use crate::program::{Program, Standard, Variable};

pub(crate) const LISTEN: &Variable = &Variable {
    name: "SHOP_HTTP__LISTEN",
    default: "127.0.0.1:8080",
    allowed: "an IP address and a port",
    meaning: "Where the shop is served.",
    secret: false,
};

pub(crate) const WELCOME: &Variable = &Variable {
    name: "SHOP_HTTP__WELCOME",
    default: "",
    allowed: "any string",
    meaning: "What customers read first.",
    secret: false,
};

pub(crate) const URL: &Variable = &Variable {
    name: "SHOP_QUEUE__URL",
    default: "queue://127.0.0.1",
    allowed: "a URL such as queue://user:password@host",
    meaning: "Where orders go.",
    secret: true,
};

pub(crate) const VARIABLES: &[&Variable] = &[LISTEN, WELCOME, URL];

pub(crate) const SHOP: &Program = &Program {
    name: "shop",
    prefix: "SHOP_",
    variables: VARIABLES,
    other_programs: &["SHOP_TILL__", "SHOP_QUEUE__", "SHOP_PYTHON"],
    standards: &[Standard {
        name: "Weather",
        prefix: "WEATHER_",
        meaning: "Nothing is sent unless a station is set.",
        variables: &[("WEATHER_STATION", "Where readings go.")],
    }],
};
