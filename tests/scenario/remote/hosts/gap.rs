//! Data that stays where it is: what a machine says to others is written down before it is encrypted, and looked through.

use niia_tests::wait_until;

use super::super::super::SOON;
use super::{Machine, Network, OVER_WITHIN, pair};
use niia_tests::House;

const AIR_GAPPED: &str = include_str!("../../../../spec/tests/documents/good/air-gapped-analysis.json");

/// In the data, and in nothing that may be said.
const CANARY: &str = "PATIENT-4711-QX";
/// In the name of a file of the data.
const LISTED: &str = "ward-3-records-ZK";

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A tool that reads the data, leaves copies wherever it can, shows it on its screen, and says a summary alone.
fn analyst(machine: &Machine) {
    let data = machine.house.file(&format!("data/{LISTED}.csv"), &format!("{CANARY},ward 3,positive\n"));
    let play = format!(
        "run cp {data} . && cp {data} $NIIA_SCRATCHPAD/ && ls $NIIA_SCRATCHPAD > listing.txt && printf '{CANARY} {LISTED}' && printf '\\r\\033[K'\n\
         when Begin run niia mailbox send claude \"summary: 3 percent\"\n\
         say 3 percent",
        data = data.display()
    );
    machine.house.install("ollama", &play);
}

#[test]
fn in_air_gapped_analysis_as_it_is_written_no_byte_of_the_data_leaves_a_hospital() {
    let names = House::new();
    let Some(network) = Network::of(names.mark(), 3) else { return };
    let lab = Machine::new(&network, 1, "research-lab");
    let hospitals = [Machine::new(&network, 2, "hospital-A"), Machine::new(&network, 3, "hospital-B")];
    lab.start();
    for hospital in &hospitals {
        hospital.start();
        pair(hospital, &lab);
        analyst(hospital);
    }
    let asked = lab.house.at("home/asked");
    lab.house.install("claude", &format!("write {}/{{pid}}.txt {{prompt}}\nsay noted", asked.display()));
    let project = lab.house.repository("project");
    let file = lab.house.file("air-gapped-analysis.connector.json", AIR_GAPPED);
    let call = lab.niia(&["run", file.to_str().unwrap(), "--detach"]);
    let run = call.inside(project.path()).run().exits(0).run_id();
    wait_until("the lab has both summaries", OVER_WITHIN, || {
        let files = std::fs::read_dir(&asked).into_iter().flatten().flatten();
        let told: String = files.filter_map(|f| std::fs::read_to_string(f.path()).ok()).collect();
        (told.contains("llama3` (letter)") && told.contains("llama3-2` (letter)")).then_some(())
    });
    // Whatever the lab asks for by hand shows nothing of it either.
    for hospital in ["hospital-a", "hospital-b"] {
        for words in [
            vec!["remote", "sessions", hospital, "--json"],
            vec!["sessions", "--machine", hospital],
            vec!["remote", "read", hospital],
            vec!["remote", "ask", hospital, "what do you see?", "--timeout", "2"],
            vec!["remote", "status", hospital],
        ] {
            let said = lab.niia(&words).run();
            assert!(!holds(said.out.as_bytes(), CANARY) && !holds(said.out.as_bytes(), LISTED), "{words:?}");
        }
    }
    for words in [["status", &run], ["logs", &run], ["explain", &run], ["sessions", &run]] {
        let said = lab.niia(&words).run();
        assert!(!holds(said.out.as_bytes(), CANARY), "{words:?}: {}", said.out);
    }
    let _ = lab.niia(&["done", &run]).run().exits(0);
    let status = lab.wait_over(&run);
    assert_eq!(status["state"], "done", "{status:#}");
    wait_until("nothing is left of it there", SOON, || {
        hospitals.iter().all(|hospital| hospital.left_of_guests().is_empty()).then_some(())
    });
    for machine in hospitals.iter().chain([&lab]) {
        machine.stop();
    }
    for hospital in &hospitals {
        let frames = hospital.frames();
        assert!(holds(&frames, "3 percent"), "what it says is written down");
        for text in [CANARY, LISTED, "PACK"] {
            assert!(!holds(&frames, text), "`{text}` has left");
        }
    }
    assert_eq!(super::super::worker::holding(lab.house.path(), CANARY), Vec::<String>::new());
}
