//! Files on their way between machines.

use super::{machine, paired};

#[test]
fn a_file_goes_to_an_open_folder_and_comes_back_as_it_was() {
    let (laptop, gpu) = (machine("laptop"), machine("gpu"));
    paired(&laptop, &gpu, "files");
    let data = gpu.at("home/data");
    std::fs::create_dir(&data).unwrap();
    let _ = gpu.niia(["peer", "allow", "laptop", "files", "--folder", data.to_str().unwrap()]).run().exits(0);
    let contents: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    std::fs::write(laptop.at("home/weights.bin"), &contents).unwrap();
    let there = format!("gpu:{}/", data.display());
    let said = laptop.niia(["remote", "cp", "weights.bin", &there]).run().exits(0);
    assert!(said.out.contains("copied"), "{}", said.out);
    assert!(std::fs::read(data.join("weights.bin")).unwrap() == contents);
    let back = format!("gpu:{}/weights.bin", data.display());
    let _ = laptop.niia(["remote", "cp", &back, "again.bin"]).run().exits(0);
    assert!(std::fs::read(laptop.at("home/again.bin")).unwrap() == contents);
    // A relative path is one below the folder that is open.
    let _ = laptop.niia(["remote", "cp", "gpu:weights.bin", "third.bin"]).run().exits(0);
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["weights.bin"], "nothing unfinished stays");
}

#[test]
fn nothing_outside_an_open_folder_is_read_or_written_whatever_the_path_says() {
    let (laptop, gpu) = (machine("laptop"), machine("gpu"));
    paired(&laptop, &gpu, "files");
    let data = gpu.at("home/data");
    std::fs::create_dir_all(data.join("sub")).unwrap();
    let secret = gpu.file("home/secret", "top secret");
    std::os::unix::fs::symlink(&secret, data.join("link")).unwrap();
    std::os::unix::fs::symlink(gpu.at("home"), data.join("up")).unwrap();
    let closed = laptop.niia(["remote", "cp", &format!("gpu:{}", secret.display()), "x"]).run().exits(1);
    assert!(closed.err.contains("no folder that is open"), "{}", closed.err);
    let _ = gpu.niia(["peer", "allow", "laptop", "files", "--folder", data.to_str().unwrap()]).run().exits(0);
    let _ = laptop.file("home/mine", "mine");
    for path in [
        secret.display().to_string(),
        format!("{}/../secret", data.display()),
        format!("{}/link", data.display()),
        format!("{}/up/secret", data.display()),
        "../secret".to_owned(),
        "/etc/passwd".to_owned(),
        "sub".to_owned(),
        "absent".to_owned(),
    ] {
        let said = laptop.niia(["remote", "cp", &format!("gpu:{path}"), "got"]).run();
        assert_ne!(said.code, Some(0), "{path}");
        assert!(!laptop.at("home/got").exists(), "{path}");
    }
    for path in ["../put", "up/put", "/tmp/niia-put", "absent/put", "link"] {
        let said = laptop.niia(["remote", "cp", "mine", &format!("gpu:{path}")]).run();
        assert!(said.code != Some(0) || path == "link", "{path}: {}", said.out);
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "top secret");
    assert!(!gpu.at("home/put").exists());
    let _ = gpu.niia(["peer", "allow", "laptop", "read"]).run().exits(0);
    let refused = laptop.niia(["remote", "cp", "gpu:link", "x"]).run().exits(1);
    assert!(refused.err.contains("needs the right `files`"), "{}", refused.err);
    let log = std::fs::read_to_string(gpu.at("state/run/node.log")).unwrap();
    assert!(log.contains("needs the right `files`"), "both sides read it");
}

#[test]
fn two_paths_here_or_two_there_are_no_copy() {
    let laptop = machine("laptop");
    for words in [["a", "b"], ["x:a", "y:b"]] {
        let said = laptop.niia(["remote", "cp", words[0], words[1]]).run().exits(2);
        assert!(said.err.contains("MACHINE:PATH"), "{}", said.err);
    }
}
