use yamabiko_exercises::fan_out::Room;

#[test]
fn fan_out_gives_every_member_the_same_bytes() {
    let mut room = Room::default();
    let (anna, ben) = (room.join(), room.join());
    room.publish(b"one");
    room.publish(b"two");
    assert_eq!(room.waiting(anna), b"onetwo");
    assert_eq!(room.waiting(ben), b"onetwo");
}

#[test]
fn fan_out_begins_where_the_member_joined() {
    let mut room = Room::default();
    let anna = room.join();
    room.publish(b"one");
    let ben = room.join();
    room.publish(b"two");
    assert_eq!(room.waiting(anna), b"onetwo");
    assert_eq!(room.waiting(ben), b"two");
}

#[test]
fn fan_out_continues_behind_what_was_taken() {
    let mut room = Room::default();
    let (anna, ben) = (room.join(), room.join());
    room.publish(b"message");
    room.taken(anna, 3);
    assert_eq!(room.waiting(anna), b"sage");
    assert_eq!(room.waiting(ben), b"message");
}

#[test]
fn fan_out_holds_one_copy_until_the_slowest_has_it() {
    let mut room = Room::default();
    let members: Vec<usize> = (0..1000).map(|_| room.join()).collect();
    room.publish(&[7; 100]);
    assert_eq!(room.held_bytes(), 100);
    for &member in &members[1..] {
        room.taken(member, 100);
    }
    assert_eq!(room.held_bytes(), 100);
    room.taken(members[0], 60);
    assert_eq!(room.held_bytes(), 40);
    room.leave(members[0]);
    assert_eq!(room.held_bytes(), 0);
}

#[test]
fn fan_out_to_nobody_holds_nothing() {
    let mut room = Room::default();
    room.publish(b"is anybody there?");
    assert_eq!(room.held_bytes(), 0);
}
