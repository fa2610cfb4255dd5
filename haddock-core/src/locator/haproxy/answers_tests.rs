//! What HAProxy 2.6.12 has answered.

use super::*;

const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nRelease_date: 2026/10/17\nNbthread: 2\nPid: 4546\n\
    Uptime: 0d 0h00m02s\nUptime_sec: 2\nnode: vm\nStart_time_sec: 1796012911\nTainted: 0\n";

const SERVERS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
    srv_agent_addr srv_agent_port\n\
    3 shop 1001 shop-1-01234567 127.0.0.1 2 0 9 9 0 1 0 0 0 0 0 1 - 9001 - 0 0 - - 0\n\
    3 shop 1002 v6 ::1 0 1 0 0 0 1 0 0 0 0 0 1 - 9002 - 0 0 - - 0\n\
    3 shop 3 named - 2 0 1 1 0 1 0 0 0 0 0 0 db.example 9002 - 0 0 - - 0\n";

const STATS: &str = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,\
    status,weight,lbtot,hrsp_5xx,lastsess,cookie,mode,algo,\n\
    shop,shop-1-01234567,1,4,2,9,,15,0,0,,0,,1,2,0,0,no check,9,5,4,3,,http,,\n\
    shop,v6,0,0,0,0,,0,0,0,,0,,0,0,0,0,MAINT,1,0,0,-1,,http,,\n\
    shop,BACKEND,0,0,0,0,200,15,0,0,0,0,,0,0,0,0,UP,9,5,4,3,,http,roundrobin,\n";

#[test]
fn a_process_is_known_by_its_pid_and_its_start() {
    let first = process(INFO).expect("an answer");
    assert_eq!((first.version, first.uptime), ((2, 6), Duration::from_secs(2)));
    let later = process(&INFO.replace("1796012911", "1796012912")).expect("an answer");
    let other = process(&INFO.replace("4546", "4547")).expect("an answer");
    assert!(first.incarnation != later.incarnation && first.incarnation != other.incarnation);
    assert_eq!(process(&INFO.replace("2.6.12-1+deb12u4", "3.2-dev1")).expect("an answer").version, (3, 2));
    assert_eq!(process("Unknown command"), None);
}

#[test]
fn servers_are_read_by_the_names_of_the_columns() {
    let found = servers(SERVERS).expect("an answer");
    assert_eq!(found[0].name, "shop-1-01234567");
    assert_eq!((found[0].id, found[0].weight, found[0].admin), (1001, 9, 0));
    assert_eq!(found[0].address, Some(SocketAddr::from(([127, 0, 0, 1], 9001))));
    assert_eq!(found[1].address.map(|address| address.to_string()).as_deref(), Some("[::1]:9002"));
    assert!(found[1].is_in_maintenance() && !found[0].is_in_maintenance());
    assert_eq!(found[2].address, None, "it has a name");
    assert_eq!(servers("Can't find backend.\n"), None);
}

#[test]
fn figures_are_read_by_the_names_of_the_columns() {
    let found = stats(STATS).expect("an answer");
    assert_eq!(found.algorithm, "roundrobin");
    let server = found.servers["shop-1-01234567"];
    assert_eq!((server.busy, server.requests, server.chosen, server.failed), (3, 15, 5, 7));
    assert_eq!((server.quiet, found.servers["v6"].quiet), (Some(Duration::from_secs(3)), None));
    assert_eq!(stats("No such proxy.\n"), None);
}

#[test]
fn a_table_is_found_by_its_name() {
    let text =
        "# table: shop-2, type: integer, size:1024, used:0\n# table: shop, type: string, size:1048576, used:17\n";
    let head = TableHead { kind: "string".to_owned(), size: 1_048_576, used: 17 };
    assert_eq!(table(text, "shop"), Some(head.clone()));
    assert_eq!(table("# table: shop, type: string, size:1048576,used:17", "shop"), Some(head));
    assert_eq!(table(text, "sho"), None);
}

#[test]
fn an_entry_tells_its_server_whatever_its_key_is() {
    let line = b"0x7f031403d1e0: key=x\\ server_id\\=9 use=0 exp=3000000 server_id=1001 server_key=-";
    assert_eq!((entry_server(line), entry_expiry(line)), (Some(1001), Some(Duration::from_secs(3_000))));
    let line = b"0x55f0e8605920: key=a server_id=7 exp=1 use=1 exp=2999999 server_id=8 gpc0=0 server_key=a1";
    assert_eq!((entry_server(line), entry_expiry(line)), (Some(8), Some(Duration::from_millis(2_999_999))));
    assert_eq!(entry_server(b"# table: shop, type: string, size:1048576, used:17"), None);
}

#[test]
fn an_entry_tells_whether_its_session_has_ended_whatever_its_key_is() {
    let entry = |key: &str, gpt0: &str| {
        format!("0x55f0e8605920: key={key} use=0 exp=2999999 shard=0{gpt0} server_id=8 server_key=a1").into_bytes()
    };
    for (key, gpt0, ended) in [
        ("a", " gpt0=0", Some(false)),
        ("a", " gpt0=1", Some(true)),
        ("a", "", None),
        ("x gpt0=1 exp=1", " gpt0=0", Some(false)),
        ("x exp=1 gpt0=1", "", None),
    ] {
        let line = entry(key, gpt0);
        assert_eq!(entry_has_ended(&line), ended, "{key} {gpt0}");
        assert_eq!(live_entry_server(&line), (ended != Some(true)).then_some(8), "{key} {gpt0}");
    }
    assert_eq!(live_entry_server(b"# table: shop, type: string, size:1048576, used:17"), None);
}

#[test]
fn peers_are_settled_once_each_group_has_both_bits() {
    let group = |flags: &str| {
        format!(
            "0x55d: [30/Nov/2026:08:12:44] id=ours disabled=0 flags=0x{flags} resync_timeout=2s task_calls=1\n  \
             0x55e: id=other(remote,active) addr=127.0.0.1:9662 last_status=CONN last_hdshk=2s\n        flags=0x0\n"
        )
    };
    assert!(peers_are_settled(""), "there are none");
    for (flags, settled) in [("11", false), ("12", false), ("33", true), ("103", true), ("0", false), ("?", false)] {
        assert_eq!(peers_are_settled(&group(flags)), settled, "{flags}");
    }
    assert!(!peers_are_settled(&(group("33") + &group("11"))), "one of them is not");
}
