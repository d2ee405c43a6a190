use super::*;

#[test]
fn a_small_bound_keeps_the_beginning_and_the_newest_segments() {
    let shape = Shape::new(true, 256 << 10);
    assert_eq!(shape.segment_bytes, 64 << 10);
    let dropped: Vec<_> = (0..7).map(|newest| shape.dropped_by(newest)).collect();
    assert_eq!(dropped, [None, None, None, None, Some(1), Some(2), Some(3)]);
}

#[test]
fn a_session_that_is_not_recorded_keeps_only_the_newest_segments() {
    let shape = Shape::new(false, 1 << 30);
    let dropped: Vec<_> = (0..6).map(|newest| shape.dropped_by(newest)).collect();
    assert_eq!(dropped, [None, None, None, None, Some(0), Some(1)]);
}

#[test]
fn a_torn_or_flipped_record_is_no_record() {
    let record = Record::resize(7, 1 << 40, 120, 40);
    let bytes = record.encode();
    assert_eq!(Record::decode(&bytes), Some(record));
    for at in 0..RECORD_BYTES {
        let mut flipped = bytes;
        flipped[at] ^= 0x10;
        assert_eq!(Record::decode(&flipped), None, "byte {at}");
    }
}
