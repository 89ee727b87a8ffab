//! What comes from the terminal, in whatever pieces.

use super::{leave, open_with, run};

#[test]
fn sequences_in_pieces_are_still_keys() {
    let (_daemon, _agents, console) = open_with(["web-1", "web-2"]);
    for byte in b"\x1b[B" {
        console.send([*byte]);
    }
    console.send("r");
    console.wait_text("run on web-2");
    // Kitty's form of Escape, and then a click on the first agent.
    for byte in b"\x1b[27u\x1b[<0;12;3M\x1b[<0;12;3m" {
        console.send([*byte]);
    }
    console.wait_screen("no line to type in", |screen| !screen.contains("run on"));
    console.send("\x1b[Ar");
    console.wait_text("run on web-1");
    console.send("\x03");
    console.wait_screen("no line to type in", |screen| !screen.contains("run on"));
    leave(&console);
}

#[test]
fn pasted_text_is_typed_and_never_pressed() {
    let (_daemon, [_agent], console) = open_with(["web-1"]);
    // In the list nothing takes it: were it pressed, `q` would end the console.
    console.send("\x1b[200~q\x1b[201~");
    run(&console, "cat -v");
    console.wait_text("● running");
    console.send("a");
    console.wait_text("ATTACHED");
    console.send("\x1b[200~one\x1b[31mtwo\x1d\x1b[201~\r");
    console.wait_text("one^[[31mtwo^]");
    console.send("\x1d");
    console.wait_screen("that it is left", |screen| !screen.contains("ATTACHED"));
    console.send("x");
    console.wait_screen("its end", |screen| screen.contains("✗"));
    leave(&console);
}

#[test]
fn a_large_paste_arrives_whole() {
    const LINES: usize = 2000;
    let (daemon, [_agent], console) = open_with(["web-1"]);
    run(
        &console,
        &format!("stty -echo; echo ready; echo sum $(head -n {LINES} | cksum)"),
    );
    console.wait_text("│ready");
    console.send("a");
    console.wait_text("ATTACHED");
    let lines: Vec<String> = (0..LINES)
        .map(|n| format!("line {n} of a long paste, with some more text\r"))
        .collect();
    let text = lines.concat();
    console.send(format!("\x1b[200~{text}\x1b[201~"));
    let sum = daemon
        .command("cksum", [""; 0])
        .stdin(text.replace('\r', "\n"))
        .run();
    let sum = format!("sum {}", sum.out().trim());
    console.wait_text(&sum);
    // Until its end is known here, what is typed is for the program.
    console.wait_text("✓ exit 0");
    leave(&console);
}
