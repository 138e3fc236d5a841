#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tine_fuzz::outside::p2p_codec(bytes));
