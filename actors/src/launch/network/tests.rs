use super::*;

fn local(port: u16) -> Result<Endpoint, Fault> {
    Ok(Endpoint::Local(port))
}

#[test]
fn an_address_leads_to_this_machine_or_to_a_host_by_https() {
    for (url, port) in [
        ("http://127.0.0.1:4000", 4000),
        ("http://localhost:4000/v1", 4000),
        ("https://LOCALHOST", 443),
        ("http://0.0.0.0:11434", 11434),
        ("127.0.0.1:8080", 8080),
        ("127.0.0.1", 11434),
        ("0.0.0.0", 11434),
    ] {
        assert_eq!(endpoint(url, Some(11434)), local(port), "{url}");
    }
    for (url, host) in [
        ("https://llm.example.com", "llm.example.com"),
        ("https://llm.example.com:443/v1?x", "llm.example.com"),
        ("https://me:secret@llm.example.com/", "llm.example.com"),
    ] {
        assert_eq!(endpoint(url, None), Ok(Endpoint::Host(host.to_owned())), "{url}");
    }
    for url in [
        "http://llm.example.com",
        "https://llm.example.com:8443",
        "http://192.168.0.5:11434",
        "https://10.0.0.1",
        "http://[::1]:11434",
        "http://127.0.0.2:80",
        "http://127.0.0.1:3128",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1",
        "http://",
        "127.0.0.1",
    ] {
        assert!(endpoint(url, None).is_err(), "{url}");
    }
}

fn launch(network: NetworkPlan, env: &[(&str, &str)]) -> Launch {
    let mut facts = super::super::tests::facts();
    facts.plan.network = network.clone();
    let mut launch = Launch::bare(&facts);
    launch.network = network;
    launch.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    launch
}

fn reach() -> Reach {
    Reach {
        sandboxed: Sandboxed {
            hosts: vec!["api.provider.example".to_owned()],
            base_url_env: vec!["BASE_URL".to_owned()],
            ..Sandboxed::default()
        },
        model: Some("llama3".to_owned()),
        trusted: vec!["*.trusted.example".to_owned()],
    }
}

fn told(rules: &Rules) -> (Vec<String>, Vec<u16>) {
    (
        rules.hosts.iter().map(ToString::to_string).collect(),
        rules.forwards.iter().map(|one| one.port).collect(),
    )
}

#[test]
fn a_session_reaches_its_provider_what_is_trusted_and_what_it_names() {
    let hosts = NetworkPlan::Hosts(vec!["docs.example".to_owned()]);
    for (network, env, expected) in [
        (NetworkPlan::Provider, vec![], (vec!["api.provider.example", "*.trusted.example"], vec![])),
        (hosts.clone(), vec![], (vec!["api.provider.example", "docs.example", "*.trusted.example"], vec![])),
        (NetworkPlan::None, vec![], (vec![], vec![])),
        // Another endpoint takes the provider's place.
        (
            NetworkPlan::Provider,
            vec![("BASE_URL", "https://llm.example")],
            (vec!["llm.example", "*.trusted.example"], vec![]),
        ),
        (
            NetworkPlan::Provider,
            vec![("BASE_URL", "http://127.0.0.1:4000")],
            (vec!["*.trusted.example"], vec![4000]),
        ),
        (NetworkPlan::None, vec![("BASE_URL", "http://127.0.0.1:4000")], (vec![], vec![4000])),
        (NetworkPlan::None, vec![("BASE_URL", "https://llm.example")], (vec![], vec![])),
    ] {
        let rules = rules(&launch(network.clone(), &env), &reach()).unwrap();
        let mut expected = (expected.0.into_iter().map(str::to_owned).collect::<Vec<_>>(), expected.1);
        expected.0.sort();
        let mut told = told(&rules);
        told.0.sort();
        assert_eq!(told, expected, "{network:?} {env:?}");
    }
}

#[test]
fn a_local_model_goes_through_the_gateway_whatever_the_network() {
    let mut reach = reach();
    reach.sandboxed.local_port = Some(11434);
    reach.sandboxed.hosts.clear();
    for network in [NetworkPlan::None, NetworkPlan::Provider] {
        let rules = rules(&launch(network, &[]), &reach).unwrap();
        let kind = Kind::Model { model: Some("llama3".to_owned()) };
        assert_eq!(rules.forwards, [Forward { port: 11434, kind }]);
    }
    let moved = rules(&launch(NetworkPlan::None, &[("BASE_URL", "127.0.0.1:9000")]), &reach).unwrap();
    assert_eq!(told(&moved).1, [9000]);
}

#[test]
fn a_sandboxed_tool_has_a_state_folder_of_its_own_and_finds_the_proxy() {
    let mut facts = super::super::tests::facts();
    facts.plan.network = NetworkPlan::Provider;
    facts.caller_env.insert("HTTPS_PROXY".to_owned(), "http://proxy.corp:8080".to_owned());
    facts.program.env_pass = vec!["HTTPS_PROXY".to_owned()];
    facts.program.argv = ["tool", "-s", "own", "own"].map(str::to_owned).to_vec();
    facts.program.reach = reach();
    let sandboxed = &mut facts.program.reach.sandboxed;
    sandboxed.state.insert("TOOL_HOME".to_owned(), "tool".to_owned());
    sandboxed.swap = vec![["-s", "own", "off"].map(str::to_owned)];
    sandboxed.files.insert("tool/trust".to_owned(), "{cwd}".to_owned());
    let add = ["-c", "at={cwd}"].map(str::to_owned).to_vec();
    sandboxed.args = vec![sandboxed::Addition { add, ..Default::default() }];
    let mut drawn = launch(NetworkPlan::Provider, &[("HTTPS_PROXY", "http://proxy.corp:8080")]);
    drawn.sandbox = Some(niia_spec::plan::SandboxPlan::default());
    // A plugin has put something before it.
    drawn.argv = [&["nice".to_owned()][..], &facts.program.argv].concat();
    drawn.cwd = "/srv/tree".into();
    confine(&mut drawn, &facts).unwrap();
    let state = facts.folder.join("state");
    assert_eq!(drawn.env["TOOL_HOME"], state.join("tool").display().to_string());
    assert_eq!(drawn.state.as_deref(), Some(&*state));
    assert_eq!(drawn.argv, ["nice", "tool", "-c", "at=/srv/tree", "-s", "off", "own"]);
    let files = drawn.preparations.iter().find_map(|preparation| match preparation {
        Preparation::State { files, .. } => Some(files.clone()),
        _ => None,
    });
    assert_eq!(files.unwrap()["tool/trust"], "/srv/tree");
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"] {
        assert_eq!(drawn.env[name], "http://127.0.0.1:3128", "{name}");
    }
    assert_eq!((&*drawn.env["NO_PROXY"], &*drawn.env["NODE_USE_ENV_PROXY"]), (NO_PROXY, "1"));
    assert!(drawn.reach.is_some_and(|rules| !rules.is_empty()));
}
