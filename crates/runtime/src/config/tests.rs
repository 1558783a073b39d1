//! Precedence, refusals and redaction over whole loads.

use std::fs;

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn sources(env: &[(&str, &str)], overrides: &[(&str, &str)]) -> Sources {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Sources {
        dir: PathBuf::from("/nonexistent"),
        state: PathBuf::new(),
        file: None,
        env: env.iter().map(own).collect(),
        overrides: overrides.iter().map(own).collect(),
    }
}

fn in_dir(file: &str) -> std::io::Result<(tempfile::TempDir, Sources)> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join(DEFAULT_FILE), file)?;
    let sources = Sources { dir: dir.path().to_owned(), ..Sources::default() };
    Ok((dir, sources))
}

fn entry(config: &Config, key: &str) -> Option<(String, String)> {
    config.entries().into_iter().find(|entry| entry.key == key).map(|entry| (entry.value, entry.origin))
}

#[test]
fn defaults_are_a_whole_configuration() -> TestResult {
    let config = load(sources(&[], &[]))?;
    assert_eq!(config.nats.servers(), ["nats://127.0.0.1:4222"]);
    assert_eq!((config.router.max_in_flight, config.worker.max_tasks), (256, 100));
    assert_eq!((config.ingress.max_body_bytes, config.ingress.listen.port()), (1 << 20, 8080));
    assert_eq!(config.database.url.expose(), "postgres://spine@127.0.0.1:5432/spine");
    assert!(config.entries().iter().all(|entry| entry.origin == "default"));
    assert_eq!(config.entries().len(), keys::KEYS.len());
    Ok(())
}

#[test]
fn each_layer_outdoes_the_one_before() -> TestResult {
    let (dir, mut sources) = in_dir("[nats]\nurl = \"nats://file:1\"\n[router]\nmax_in_flight = 8\n")?;
    let file = dir.path().join(DEFAULT_FILE);
    let check = |sources: &Sources, host: &str, origin: &str| -> TestResult {
        let config = load(sources.clone())?;
        assert_eq!(entry(&config, "nats.url"), Some((format!("nats://{host}"), origin.to_owned())));
        Ok(())
    };
    check(&sources, "file:1", &file.display().to_string())?;
    sources.env.insert("NATS_URL".into(), "nats://eco:1".into());
    check(&sources, "eco:1", "environment variable NATS_URL")?;
    sources.env.insert("SPINE_NATS__URL".into(), "nats://own:1".into());
    check(&sources, "own:1", "environment variable SPINE_NATS__URL")?;
    sources.overrides.push(("nats.url".into(), "nats://flag:1".into()));
    check(&sources, "flag:1", "command line")?;
    sources = Sources { dir: sources.dir, ..Sources::default() };
    let stack = stack_file::tests::stack(std::process::id());
    stack.write(dir.path())?;
    check(&sources, "file:1", &file.display().to_string())?;
    fs::remove_file(&file)?;
    let origin = StackFile::path(dir.path()).display().to_string();
    check(&sources, "127.0.0.1:14222", &origin)?;
    let config = load(sources.clone())?;
    assert_eq!(config.values["shopUrl"], "http://shop");
    assert_eq!(config.databases["shop"].expose(), "postgres://shop:hunter2@db/shop");
    StackFile { pid: i32::MAX as u32, ..stack }.write(dir.path())?;
    check(&sources, "127.0.0.1:4222", "default")
}

#[test]
fn a_named_file_must_be_there() -> TestResult {
    let (dir, mut sources) = in_dir("[worker]\nmax_tasks = 1\n")?;
    let other = dir.path().join("other.toml");
    fs::write(&other, "[worker]\nmax_tasks = 2\n")?;
    sources.env.insert("SPINE_CONFIG".into(), other.display().to_string());
    assert_eq!(load(sources.clone())?.worker.max_tasks, 2);
    sources.file = Some(dir.path().join(DEFAULT_FILE));
    assert_eq!(load(sources.clone())?.worker.max_tasks, 1);
    sources.file = Some(dir.path().join("none.toml"));
    assert!(matches!(load(sources), Err(ConfigError::Read { .. })));
    Ok(())
}

#[test]
fn the_operators_values_keep_their_case_and_type() -> TestResult {
    let (_dir, mut sources) = in_dir(
        "[values]\nfreeShippingFrom = 50\nVAT = 0.19\n\"odd.key [x]\" = true\n[values.shopOwner]\nfirstName = \"Ada\"\n",
    )?;
    for (variable, text) in [
        ("SPINE_VALUES__CURRENCY", "EUR"),
        ("SPINE_VALUES__maxItems", "7"),
        ("SPINE_VALUES__shopOwner__lastName", "L"),
        ("SPINE_DATABASES__SHOP", "postgres://shop:hunter2@db/shop"),
        ("SPINE_ROUTER_PORT", "tcp://10.0.0.1:80"),
        ("SPINE_VALUES__EMPTY", ""),
    ] {
        sources.env.insert(variable.into(), text.into());
    }
    let config = load(sources)?;
    let expected = serde_json::json!({
        "freeShippingFrom": 50, "VAT": 0.19, "odd.key [x]": true, "currency": "EUR", "maxItems": 7,
        "shopOwner": {"firstName": "Ada", "lastName": "L"},
    });
    assert_eq!(serde_json::to_value(&config.values)?, expected);
    assert_eq!(config.databases["shop"].expose(), "postgres://shop:hunter2@db/shop");
    Ok(())
}

#[test]
fn refusals_name_the_key_its_origin_and_what_is_wanted() {
    let check = |name: &str, value: &str, expected: &str| {
        let refused = load(sources(&[(name, value)], &[])).map_err(|error| error.to_string());
        assert_eq!(refused.err().as_deref(), Some(expected));
    };
    check(
        "SPINE_ROUTER__MAX_INFLIGHT",
        "1",
        "unknown key `router.max_inflight` in environment variable SPINE_ROUTER__MAX_INFLIGHT \
         (did you mean `router.max_in_flight`?)",
    );
    check("SPINE_NATS_URL", "x", "unknown key `SPINE_NATS_URL` in environment (did you mean `SPINE_NATS__URL`?)");
    check(
        "SPINE_ROUTER__MAX_IN_FLIGHT",
        "0",
        "bad value for `router.max_in_flight` in environment variable SPINE_ROUTER__MAX_IN_FLIGHT: \
         wanted a whole number, at least 1",
    );
    check(
        "DATABASE_URL",
        "mysql://u:hunter2@h",
        "bad value for `database.url` in environment variable DATABASE_URL: \
         wanted a URL such as postgres://user@host:5432/name",
    );
    check(
        "SPINE_INGRESS__LISTEN",
        "localhost",
        "bad value for `ingress.listen` in environment variable SPINE_INGRESS__LISTEN: \
         wanted an IP address and a port, such as 127.0.0.1:8080",
    );
    let refused = load(sources(&[], &[("zzz.quux", "1")])).map_err(|error| error.to_string());
    assert_eq!(refused.err().as_deref(), Some("unknown key `zzz.quux` in command line"));
}

#[test]
fn files_are_refused_with_their_name() -> TestResult {
    let check = |text: &str, expected: &str| -> TestResult {
        let (dir, sources) = in_dir(text)?;
        let refused = load(sources).map_err(|error| error.to_string()).err().unwrap_or_default();
        let file = dir.path().join(DEFAULT_FILE).display().to_string();
        assert_eq!(refused.replace(&file, "FILE"), expected);
        Ok(())
    };
    check("[nats]\nurll = \"x\"\n", "unknown key `nats.urll` in FILE (did you mean `nats.url`?)")?;
    check("[valeus]\n", "unknown key `valeus` in FILE (did you mean `values`?)")?;
    check("router = 5\n", "bad value for `router` in FILE: wanted a section, with keys of its own")?;
    check("[temporal]\nnamespace = 5\n", "bad value for `temporal.namespace` in FILE: wanted a name")?;
    check("[values]\nrate = nan\n", "bad value for `values.rate` in FILE: wanted a value that JSON can say")?;
    let syntax = "[database]\nurl = \"postgres://u:hunter2@h\n";
    let refused = in_dir(syntax).map(|(_dir, sources)| load(sources))?.map_err(|error| error.to_string());
    let text = refused.err().unwrap_or_default();
    assert!(text.contains("at line 2, column") && !text.contains("hunter2"), "{text}");
    Ok(())
}

#[test]
fn nothing_that_is_shown_holds_a_secret() -> TestResult {
    let config = load(sources(
        &[
            ("NATS_URL", "nats://u:hunter2@a:1,nats://hunter2@b"),
            ("DATABASE_URL", "postgres://u:hunter2@h/db"),
            ("TEMPORAL_API_KEY", "hunter2"),
            ("SPINE_DATABASES__SHOP", "postgres://u:hunter2@h/db"),
        ],
        &[],
    ))?;
    let shown = format!("{config:?} {:?} {}", config.entries(), serde_json::to_string(&config.entries())?);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(config.nats.servers()[1], "nats://hunter2@b");
    let database = entry(&config, "database.url").map(|(value, _)| value);
    assert_eq!(database.as_deref(), Some("postgres://u:[redacted]@h/db"));
    Ok(())
}

#[test]
fn tls_options_are_named_sections_of_files() -> TestResult {
    let (_dir, mut sources) = in_dir("[tls.crm]\nca_file = \"/etc/crm/ca.pem\"\n")?;
    sources.env.insert("SPINE_TLS__crm__CERT_FILE".into(), "/etc/crm/tls.crt".into());
    sources.env.insert("SPINE_TLS__crm__key_file".into(), "/etc/crm/tls.key".into());
    let config = load(sources.clone())?;
    let crm = Tls {
        ca_file: Some("/etc/crm/ca.pem".into()),
        cert_file: Some("/etc/crm/tls.crt".into()),
        key_file: Some("/etc/crm/tls.key".into()),
    };
    assert_eq!(config.tls, BTreeMap::from([("crm".into(), crm)]));
    let shown = entry(&config, "tls.crm").map(|(value, _)| value);
    assert_eq!(shown.as_deref(), Some("ca_file=/etc/crm/ca.pem cert_file=/etc/crm/tls.crt key_file=/etc/crm/tls.key"));
    sources.env.remove("SPINE_TLS__crm__key_file");
    assert!(load(sources).is_err(), "a certificate without its key");
    for wrong in ["[tls]\ncrm = \"x\"\n", "[tls.crm]\n", "[tls.crm]\nca = \"x\"\n", "[tls.crm]\nkey_file = \"x\"\n"] {
        let refused = in_dir(wrong).map(|(_dir, sources)| load(sources))?.map_err(|error| error.to_string()).err();
        assert!(
            refused.as_ref().is_some_and(|text| text.starts_with("bad value for `tls.crm`")),
            "{wrong}: {refused:?}"
        );
    }
    Ok(())
}

const DOOR: &str = r#"
[secrets]
github = "hunter2"
shop = "hunter2"
[ingress.hooks.github]
style = "github"
secrets = ["github", "hunter2"]
source = "https://github.com/acme"
type = "com.github.{event}"
[ingress.clients.shop]
tokens = ["shop"]
sources = ["/shop/*"]
types = ["com.shop.*"]
"#;

#[test]
fn clients_and_hooks_are_named_sections_of_the_ingress() -> TestResult {
    let (_dir, mut sources) = in_dir(DOOR)?;
    sources.env.insert("SPINE_INGRESS__HOOKS__GITHUB__SUBJECT".into(), "/repository/full_name".into());
    sources.env.insert("SPINE_INGRESS__CLIENTS__CRM__CERTIFICATES".into(), "dns:crm.example, uri:spiffe://crm".into());
    sources.env.insert("SPINE_INGRESS__CLIENTS__CRM__SOURCES".into(), "/crm".into());
    sources.env.insert("SPINE_INGRESS__CLIENTS__CRM__TYPES".into(), "*".into());
    let config = load(sources)?;
    let (github, crm) = (&config.ingress.hooks["github"], &config.ingress.clients["crm"]);
    assert_eq!((github.style, github.subject.as_deref()), (HookStyle::Github, Some("/repository/full_name")));
    assert_eq!(crm.certificates, ["dns:crm.example", "uri:spiffe://crm"]);
    let shown = entry(&config, "ingress.hooks.github").map(|(value, _)| value);
    let expected = "style=github secrets=github,[redacted] source=https://github.com/acme type=com.github.{event} \
                    subject=/repository/full_name";
    assert_eq!(shown.as_deref(), Some(expected));
    let shown = format!("{:?}", config.entries());
    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

#[test]
fn a_wrong_section_of_the_ingress_is_refused_by_its_key() -> TestResult {
    let check = |from: &str, to: &str, expected: &str| -> TestResult {
        let (dir, sources) = in_dir(&DOOR.replacen(from, to, 1))?;
        let refused = load(sources).map_err(|error| error.to_string()).err().unwrap_or_default();
        assert_eq!(refused.replace(&dir.path().join(DEFAULT_FILE).display().to_string(), "FILE"), expected);
        Ok(())
    };
    let hook = "bad value for `ingress.hooks.github";
    check("style = \"github\"", "", &format!("{hook}.style` in FILE: wanted github, stripe or hmac"))?;
    check(
        "\"github\"\nsecrets",
        "\"gitlab\"\nsecrets",
        &format!("{hook}.style` in FILE: wanted github, stripe or hmac"),
    )?;
    check("secrets = [", "secrets = [5, ", &format!("{hook}.secrets` in FILE: wanted a list of texts"))?;
    check(
        "type = ",
        "typ = ",
        &format!("{hook}.type` in FILE: wanted the type of its events, such as com.github.{{event}}"),
    )?;
    check(
        "source = ",
        "tolerance_secs = 5\nsource = ",
        "unknown key `ingress.hooks.github.tolerance_secs` in FILE \
         (did you mean `ingress.hooks.github.tolerance_seconds`?)",
    )?;
    check(
        "tokens = [\"shop\"]",
        "",
        "bad value for `ingress.clients.shop.tokens` in FILE: wanted names of secrets, unless there are `certificates`",
    )?;
    check(
        "[secrets]",
        "[ingress]\ntls_key_file = \"k\"\n[secrets]",
        "bad value for `ingress.tls_cert_file` in default: wanted the path of a PEM file",
    )
}
