//! Part by part, from what was asked for to what is reported.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use super::asked::Asked;
use super::conditions::{Conditions, machine};
use super::report::{Section, write_block};
use super::stop;

/// Measures one part after the other, prints what was found and, with `write`, puts it into the document. Fails when
/// some of it could not be measured.
pub fn run<P: ValueEnum + PartialEq + Send + Sync>(
    program: &str,
    asked: &Asked<P>,
    measure: impl Fn(&P) -> Result<Section>,
) -> ExitCode {
    match measure_all(program, asked.parts(), asked.write, measure) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when some part could not be measured.
fn measure_all<P: ValueEnum>(
    program: &str,
    parts: impl Iterator<Item = P>,
    write: bool,
    measure: impl Fn(&P) -> Result<Section>,
) -> Result<bool> {
    let publish = |name: &str, markdown: &str| {
        println!("{markdown}");
        if write {
            write_block(name, markdown)?;
        }
        anyhow::Ok(())
    };
    stop::listen()?;
    publish("machine", &machine()?)?;
    let mut complete = true;
    for part in parts {
        stop::check()?;
        let value = part.to_possible_value();
        let name = value.as_ref().map_or("", |value| value.get_name());
        eprintln!("{program}: {name}");
        let conditions = Conditions::start()?;
        match measure(&part) {
            Ok(section) => publish(name, &section.markdown(&conditions.end()?))?,
            // The document keeps what it has: a broken run is no measurement.
            Err(error) => {
                complete = false;
                println!("{name} could not be measured: {error:#}\n");
            }
        }
    }
    Ok(complete)
}
