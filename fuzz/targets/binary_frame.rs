//! Binary frames from the network and from holders: output and input keep every field when they are written again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use opsctl_protocol::BinaryFrame;
use opsctl_protocol::frame::encode_input;

fuzz_target!(|frame: &[u8]| {
    match BinaryFrame::decode(&Bytes::copy_from_slice(frame)) {
        Ok(BinaryFrame::Output(output)) => {
            let again =
                BinaryFrame::decode(&output.encode()).expect("what was written can be read");
            assert_eq!(again, BinaryFrame::Output(output));
        }
        Ok(BinaryFrame::Input(input)) => {
            let again =
                BinaryFrame::decode(&encode_input(&input)).expect("what was written can be read");
            assert_eq!(again, BinaryFrame::Input(input));
        }
        Ok(BinaryFrame::Envelope(_)) | Err(_) => {}
    }
});
