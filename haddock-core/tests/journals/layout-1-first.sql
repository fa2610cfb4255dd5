-- A journal of layout 1 as the first Haddock that had one wrote it, after two releases.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE event (
        service TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, revision INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (service, sequence)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "event" VALUES('demo',1,1795890109143,1,1,'{"event":"request_taken","id":"release-b3011d30b25a9b77","verb":"release","by":"tester@here"}');
INSERT INTO "event" VALUES('demo',2,1795890109143,1,1,'{"event":"release_started","request":"release-b3011d30b25a9b77","version":1,"images":{"web":"haddock-demo:c1"},"commit":null,"rollback":false}');
INSERT INTO "event" VALUES('demo',3,1795890109177,1,2,'{"event":"images_pinned","version":1,"pins":{"web":"process:42f26415ade371f2e05d903eb3644824040244094ee21832c627ce6edc192516"}}');
INSERT INTO "event" VALUES('demo',4,1795890109177,1,2,'{"event":"release_launching","version":1}');
INSERT INTO "event" VALUES('demo',5,1795890109177,1,2,'{"event":"instance_starting","instance":"demo-1-492d2156","version":1,"replacement":false}');
INSERT INTO "event" VALUES('demo',6,1795890109482,1,3,'{"event":"instance_ready","instance":"demo-1-492d2156"}');
INSERT INTO "event" VALUES('demo',7,1795890109482,1,3,'{"event":"stage_reached","version":1,"stage":2,"share":10000}');
INSERT INTO "event" VALUES('demo',8,1795890109512,1,4,'{"event":"shares_in_force","number":{"epoch":1,"revision":3}}');
INSERT INTO "event" VALUES('demo',9,1795890109512,1,4,'{"event":"shares_asked","number":{"epoch":1,"revision":4},"shares":{"demo-1-492d2156":10000}}');
INSERT INTO "event" VALUES('demo',10,1795890109528,1,5,'{"event":"shares_in_force","number":{"epoch":1,"revision":4}}');
INSERT INTO "event" VALUES('demo',11,1795890109528,1,5,'{"event":"instance_serving","instance":"demo-1-492d2156","share":10000}');
INSERT INTO "event" VALUES('demo',12,1795890109528,1,5,'{"event":"release_settling","version":1}');
INSERT INTO "event" VALUES('demo',13,1795890110031,1,6,'{"event":"release_settled","version":1}');
INSERT INTO "event" VALUES('demo',14,1795890110687,2,7,'{"event":"request_taken","id":"release-b00cd513a0d3bd1e","verb":"release","by":"tester@here"}');
INSERT INTO "event" VALUES('demo',15,1795890110687,2,7,'{"event":"release_started","request":"release-b00cd513a0d3bd1e","version":2,"images":{"web":"haddock-demo:c2"},"commit":null,"rollback":false}');
INSERT INTO "event" VALUES('demo',16,1795890110716,2,8,'{"event":"images_pinned","version":2,"pins":{"web":"process:42f26415ade371f2e05d903eb3644824040244094ee21832c627ce6edc192516"}}');
INSERT INTO "event" VALUES('demo',17,1795890110716,2,8,'{"event":"release_launching","version":2}');
INSERT INTO "event" VALUES('demo',18,1795890110716,2,8,'{"event":"instance_starting","instance":"demo-2-492d2156","version":2,"replacement":false}');
INSERT INTO "event" VALUES('demo',19,1795890111147,2,9,'{"event":"instance_ready","instance":"demo-2-492d2156"}');
INSERT INTO "event" VALUES('demo',20,1795890111147,2,9,'{"event":"stage_reached","version":2,"stage":0,"share":1000}');
INSERT INTO "event" VALUES('demo',21,1795890111158,2,10,'{"event":"shares_in_force","number":{"epoch":2,"revision":9}}');
INSERT INTO "event" VALUES('demo',22,1795890111158,2,10,'{"event":"shares_asked","number":{"epoch":2,"revision":10},"shares":{"demo-1-492d2156":9000,"demo-2-492d2156":1000}}');
INSERT INTO "event" VALUES('demo',23,1795890111183,2,11,'{"event":"shares_in_force","number":{"epoch":2,"revision":10}}');
INSERT INTO "event" VALUES('demo',24,1795890111183,2,11,'{"event":"instance_serving","instance":"demo-2-492d2156","share":1000}');
INSERT INTO "event" VALUES('demo',25,1795890111685,2,12,'{"event":"stage_reached","version":2,"stage":1,"share":5000}');
INSERT INTO "event" VALUES('demo',26,1795890111685,2,12,'{"event":"shares_asked","number":{"epoch":2,"revision":12},"shares":{"demo-1-492d2156":5000,"demo-2-492d2156":5000}}');
INSERT INTO "event" VALUES('demo',27,1795890112387,3,13,'{"event":"shares_in_force","number":{"epoch":2,"revision":12}}');
INSERT INTO "event" VALUES('demo',28,1795890112891,3,14,'{"event":"stage_reached","version":2,"stage":2,"share":10000}');
INSERT INTO "event" VALUES('demo',29,1795890112891,3,14,'{"event":"shares_asked","number":{"epoch":3,"revision":14},"shares":{"demo-2-492d2156":10000}}');
INSERT INTO "event" VALUES('demo',30,1795890112944,3,15,'{"event":"shares_in_force","number":{"epoch":3,"revision":14}}');
INSERT INTO "event" VALUES('demo',31,1795890112944,3,15,'{"event":"instance_draining","instance":"demo-1-492d2156","sessions":0,"deadline":null}');
INSERT INTO "event" VALUES('demo',32,1795890112944,3,15,'{"event":"release_settling","version":2}');
INSERT INTO "event" VALUES('demo',33,1795890113446,3,16,'{"event":"release_settled","version":2}');
INSERT INTO "event" VALUES('demo',34,1795890113487,3,17,'{"event":"instance_retiring","instance":"demo-1-492d2156","sessions_lost":0,"drained_for":543}');
INSERT INTO "event" VALUES('demo',35,1795890113543,3,18,'{"event":"shares_in_force","number":{"epoch":3,"revision":17}}');
INSERT INTO "event" VALUES('demo',36,1795890113567,3,19,'{"event":"instance_gone","instance":"demo-1-492d2156"}');
CREATE TABLE journal (id TEXT NOT NULL);
INSERT INTO "journal" VALUES('492d215622eeee58');
CREATE TABLE request (
        service TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        request TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0, UNIQUE (service, id)
    ) STRICT;
INSERT INTO "request" VALUES('demo','release-b3011d30b25a9b77',1,'{"id":"release-b3011d30b25a9b77","at":1795890109133,"by":"tester@here","verb":{"release":{"spec":"29eb99476e378d82bac3961ab8fbdd477bbb78075a6d3dd1ff310900db8a2619","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":1000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":500},{"share":5000,"hold":500},{"share":10000,"hold":500}],"settle":500,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c1"},"commit":null}}}',1);
INSERT INTO "request" VALUES('demo','release-b00cd513a0d3bd1e',2,'{"id":"release-b00cd513a0d3bd1e","at":1795890110655,"by":"tester@here","verb":{"release":{"spec":"4643d0287fb3c8c7a6cf107edc73e63ee808086b37a8436d2fe89d31722ca742","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":1000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":500},{"share":5000,"hold":500},{"share":10000,"hold":500}],"settle":500,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c2"},"commit":null}}}',1);
CREATE TABLE service (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
        schema INTEGER, state TEXT, holder TEXT, until INTEGER
    ) STRICT;
INSERT INTO "service" VALUES('demo',3,19,1,'{"schema":1,"service":"demo","journal":"492d215622eeee58","number":{"epoch":3,"revision":19},"now":1795890113567,"next_instance":3,"versions":{"1":{"request":"release-b3011d30b25a9b77","new":{"spec":"29eb99476e378d82bac3961ab8fbdd477bbb78075a6d3dd1ff310900db8a2619","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":1000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":500},{"share":5000,"hold":500},{"share":10000,"hold":500}],"settle":500,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c1"},"commit":null},"pins":{"web":"process:42f26415ade371f2e05d903eb3644824040244094ee21832c627ce6edc192516"},"verdict":"settled","replacing":{"count":0,"retry_at":0}},"2":{"request":"release-b00cd513a0d3bd1e","new":{"spec":"4643d0287fb3c8c7a6cf107edc73e63ee808086b37a8436d2fe89d31722ca742","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":1000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":500},{"share":5000,"hold":500},{"share":10000,"hold":500}],"settle":500,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c2"},"commit":null},"pins":{"web":"process:42f26415ade371f2e05d903eb3644824040244094ee21832c627ce6edc192516"},"verdict":"settled","replacing":{"count":0,"retry_at":0}}},"instances":{"demo-2-492d2156":{"version":2,"phase":"serving","since":1795890111183,"ready_by":1795890140716,"launch":{"count":1,"retry_at":1795890111716},"lives":{"web":{"container":"f4074219cb7d.demo-2-492d2156-web","started":1795890110725000000}},"address":"127.0.0.1:27568","named":{"epoch":3,"revision":17},"listed":{"epoch":2,"revision":9},"close_asked":null,"close":{"count":0,"retry_at":0},"closed_somewhere":false,"drain":null,"unresponsive_since":null,"failure":null,"dead":false,"stop":{"count":0,"retry_at":0}}},"known_good":2,"release":null,"queued":null,"asked":{"number":{"epoch":3,"revision":17},"routes":{"demo-2-492d2156":{"address":"127.0.0.1:27568","share":10000}},"in_force":true,"sending":{"count":1,"retry_at":1795890113987}}}',NULL,NULL);
CREATE INDEX pending ON request (service, sequence) WHERE NOT taken;
COMMIT;
