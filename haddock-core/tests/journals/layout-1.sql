-- A journal of layout 1, while version 2 is being removed after a rollback.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE event (
        service TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL,
        epoch INTEGER NOT NULL, revision INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (service, sequence)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "event" VALUES('demo',1,1795928890083,1,1,'{"event":"request_taken","id":"release-73f90959df4768da","verb":"release","by":"tester@here"}');
INSERT INTO "event" VALUES('demo',2,1795928890083,1,1,'{"event":"release_started","request":"release-73f90959df4768da","version":1,"images":{"web":"haddock-demo:c1"},"commit":null,"rollback":false}');
INSERT INTO "event" VALUES('demo',3,1795928890125,1,2,'{"event":"images_pinned","version":1,"pins":{"web":"sha256:18fe8cc7b94b002840fbb92c9cad7a9f2e53841a19b1a90096ec50d431646758"}}');
INSERT INTO "event" VALUES('demo',4,1795928890125,1,2,'{"event":"release_launching","version":1}');
INSERT INTO "event" VALUES('demo',5,1795928890125,1,2,'{"event":"instance_starting","instance":"demo-1-2b311521","version":1,"replacement":false}');
INSERT INTO "event" VALUES('demo',6,1795928890567,1,3,'{"event":"instance_ready","instance":"demo-1-2b311521"}');
INSERT INTO "event" VALUES('demo',7,1795928890567,1,3,'{"event":"stage_reached","version":1,"stage":2,"share":10000}');
INSERT INTO "event" VALUES('demo',8,1795928890578,1,4,'{"event":"shares_in_force","number":{"epoch":1,"revision":3}}');
INSERT INTO "event" VALUES('demo',9,1795928890578,1,4,'{"event":"shares_asked","number":{"epoch":1,"revision":4},"shares":{"demo-1-2b311521":10000}}');
INSERT INTO "event" VALUES('demo',10,1795928890595,1,5,'{"event":"shares_in_force","number":{"epoch":1,"revision":4}}');
INSERT INTO "event" VALUES('demo',11,1795928890595,1,5,'{"event":"instance_serving","instance":"demo-1-2b311521","share":10000}');
INSERT INTO "event" VALUES('demo',12,1795928890595,1,5,'{"event":"release_settling","version":1}');
INSERT INTO "event" VALUES('demo',13,1795928891599,1,6,'{"event":"release_settled","version":1}');
INSERT INTO "event" VALUES('demo',14,1795928892152,2,7,'{"event":"request_taken","id":"release-d1c5fddf9686a549","verb":"release","by":"tester@here"}');
INSERT INTO "event" VALUES('demo',15,1795928892152,2,7,'{"event":"release_started","request":"release-d1c5fddf9686a549","version":2,"images":{"web":"haddock-demo:c2"},"commit":null,"rollback":false}');
INSERT INTO "event" VALUES('demo',16,1795928892170,2,8,'{"event":"images_pinned","version":2,"pins":{"web":"sha256:7b22889e039653d8ff80b85631d56a8a7323714462d016d30129afa623841419"}}');
INSERT INTO "event" VALUES('demo',17,1795928892170,2,8,'{"event":"release_launching","version":2}');
INSERT INTO "event" VALUES('demo',18,1795928892170,2,8,'{"event":"instance_starting","instance":"demo-2-2b311521","version":2,"replacement":false}');
INSERT INTO "event" VALUES('demo',19,1795928892652,2,9,'{"event":"instance_ready","instance":"demo-2-2b311521"}');
INSERT INTO "event" VALUES('demo',20,1795928892652,2,9,'{"event":"stage_reached","version":2,"stage":0,"share":1000}');
INSERT INTO "event" VALUES('demo',21,1795928892666,2,10,'{"event":"shares_in_force","number":{"epoch":2,"revision":9}}');
INSERT INTO "event" VALUES('demo',22,1795928892666,2,10,'{"event":"shares_asked","number":{"epoch":2,"revision":10},"shares":{"demo-1-2b311521":9000,"demo-2-2b311521":1000}}');
INSERT INTO "event" VALUES('demo',23,1795928892685,2,11,'{"event":"shares_in_force","number":{"epoch":2,"revision":10}}');
INSERT INTO "event" VALUES('demo',24,1795928892685,2,11,'{"event":"instance_serving","instance":"demo-2-2b311521","share":1000}');
INSERT INTO "event" VALUES('demo',25,1795928893689,2,12,'{"event":"stage_reached","version":2,"stage":1,"share":5000}');
INSERT INTO "event" VALUES('demo',26,1795928893689,2,12,'{"event":"shares_asked","number":{"epoch":2,"revision":12},"shares":{"demo-1-2b311521":5000,"demo-2-2b311521":5000}}');
INSERT INTO "event" VALUES('demo',27,1795928893705,2,13,'{"event":"shares_in_force","number":{"epoch":2,"revision":12}}');
INSERT INTO "event" VALUES('demo',28,1795928894709,2,14,'{"event":"stage_reached","version":2,"stage":2,"share":10000}');
INSERT INTO "event" VALUES('demo',29,1795928894709,2,14,'{"event":"shares_asked","number":{"epoch":2,"revision":14},"shares":{"demo-2-2b311521":10000}}');
INSERT INTO "event" VALUES('demo',30,1795928894721,2,15,'{"event":"shares_in_force","number":{"epoch":2,"revision":14}}');
INSERT INTO "event" VALUES('demo',31,1795928894721,2,15,'{"event":"instance_draining","instance":"demo-1-2b311521","sessions":0,"deadline":null}');
INSERT INTO "event" VALUES('demo',32,1795928894721,2,15,'{"event":"release_settling","version":2}');
INSERT INTO "event" VALUES('demo',33,1795928895725,2,16,'{"event":"release_settled","version":2}');
INSERT INTO "event" VALUES('demo',34,1795928895733,2,17,'{"event":"instance_retiring","instance":"demo-1-2b311521","sessions_lost":0,"drained_for":1012}');
INSERT INTO "event" VALUES('demo',35,1795928895749,2,18,'{"event":"shares_in_force","number":{"epoch":2,"revision":17}}');
INSERT INTO "event" VALUES('demo',36,1795928896201,2,19,'{"event":"instance_gone","instance":"demo-1-2b311521"}');
INSERT INTO "event" VALUES('demo',37,1795928898217,2,20,'{"event":"request_taken","id":"rollback-c92f79d22f20f3dd","verb":"rollback","by":"tester@here"}');
INSERT INTO "event" VALUES('demo',38,1795928898217,2,20,'{"event":"release_started","request":"rollback-c92f79d22f20f3dd","version":3,"images":{"web":"haddock-demo:c1"},"commit":null,"rollback":true}');
INSERT INTO "event" VALUES('demo',39,1795928898217,2,20,'{"event":"release_launching","version":3}');
INSERT INTO "event" VALUES('demo',40,1795928898217,2,20,'{"event":"instance_starting","instance":"demo-3-2b311521","version":3,"replacement":false}');
INSERT INTO "event" VALUES('demo',41,1795928898685,2,21,'{"event":"instance_ready","instance":"demo-3-2b311521"}');
INSERT INTO "event" VALUES('demo',42,1795928898685,2,21,'{"event":"stage_reached","version":3,"stage":2,"share":10000}');
INSERT INTO "event" VALUES('demo',43,1795928898701,2,22,'{"event":"shares_in_force","number":{"epoch":2,"revision":21}}');
INSERT INTO "event" VALUES('demo',44,1795928898701,2,22,'{"event":"shares_asked","number":{"epoch":2,"revision":22},"shares":{"demo-3-2b311521":10000}}');
INSERT INTO "event" VALUES('demo',45,1795928898713,2,23,'{"event":"shares_in_force","number":{"epoch":2,"revision":22}}');
INSERT INTO "event" VALUES('demo',46,1795928898713,2,23,'{"event":"instance_draining","instance":"demo-2-2b311521","sessions":0,"deadline":null}');
INSERT INTO "event" VALUES('demo',47,1795928898713,2,23,'{"event":"instance_serving","instance":"demo-3-2b311521","share":10000}');
INSERT INTO "event" VALUES('demo',48,1795928898713,2,23,'{"event":"release_settling","version":3}');
INSERT INTO "event" VALUES('demo',49,1795928899716,2,24,'{"event":"release_settled","version":3}');
INSERT INTO "event" VALUES('demo',50,1795928899725,2,25,'{"event":"instance_retiring","instance":"demo-2-2b311521","sessions_lost":0,"drained_for":1012}');
INSERT INTO "event" VALUES('demo',51,1795928899750,2,26,'{"event":"shares_in_force","number":{"epoch":2,"revision":25}}');
CREATE TABLE journal (id TEXT NOT NULL);
INSERT INTO "journal" VALUES('2b3115214ad2cd23');
CREATE TABLE request (
        service TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        request TEXT NOT NULL, taken INTEGER NOT NULL DEFAULT 0, UNIQUE (service, id)
    ) STRICT;
INSERT INTO "request" VALUES('demo','release-73f90959df4768da',1,'{"id":"release-73f90959df4768da","at":1795928890073,"by":"tester@here","verb":{"release":{"spec":"2da326a6de20da70ce9a32b8633b8c1499d114a80f14e78bbe466e322ba1fd19","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":4000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":1000},{"share":5000,"hold":1000},{"share":10000,"hold":1000}],"settle":1000,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c1"},"one_shots":[],"commit":null,"force":false}}}',1);
INSERT INTO "request" VALUES('demo','release-d1c5fddf9686a549',2,'{"id":"release-d1c5fddf9686a549","at":1795928891991,"by":"tester@here","verb":{"release":{"spec":"8ac8395068b3a31283e880795291a26040f24a3c4c578b0c5805880e1f8ff1f3","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":4000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":1000},{"share":5000,"hold":1000},{"share":10000,"hold":1000}],"settle":1000,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c2"},"one_shots":[],"commit":null,"force":false}}}',1);
INSERT INTO "request" VALUES('demo','rollback-c92f79d22f20f3dd',3,'{"id":"rollback-c92f79d22f20f3dd","at":1795928897851,"by":"tester@here","verb":"rollback"}',1);
CREATE TABLE service (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 0,
        schema INTEGER, state TEXT, holder TEXT, until INTEGER
    ) STRICT;
INSERT INTO "service" VALUES('demo',2,26,1,'{"schema":1,"service":"demo","journal":"2b3115214ad2cd23","number":{"epoch":2,"revision":26},"now":1795928899750,"next_instance":4,"versions":{"1":{"request":"release-73f90959df4768da","new":{"spec":"2da326a6de20da70ce9a32b8633b8c1499d114a80f14e78bbe466e322ba1fd19","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":4000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":1000},{"share":5000,"hold":1000},{"share":10000,"hold":1000}],"settle":1000,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c1"},"one_shots":[],"commit":null,"force":false},"pins":{"web":"sha256:18fe8cc7b94b002840fbb92c9cad7a9f2e53841a19b1a90096ec50d431646758"},"verdict":"settled","replacing":{"count":0,"retry_at":0},"external":false},"2":{"request":"release-d1c5fddf9686a549","new":{"spec":"8ac8395068b3a31283e880795291a26040f24a3c4c578b0c5805880e1f8ff1f3","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":4000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":1000},{"share":5000,"hold":1000},{"share":10000,"hold":1000}],"settle":1000,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c2"},"one_shots":[],"commit":null,"force":false},"pins":{"web":"sha256:7b22889e039653d8ff80b85631d56a8a7323714462d016d30129afa623841419"},"verdict":"bad","replacing":{"count":0,"retry_at":0},"external":false},"3":{"request":"rollback-c92f79d22f20f3dd","new":{"spec":"2da326a6de20da70ce9a32b8633b8c1499d114a80f14e78bbe466e322ba1fd19","settings":{"service":"demo","entry":{"component":"web","port":8080},"ready":{"http":"/health","within":30000},"session":{"idle":4000,"ignore":["/health"]},"release":{"replicas":1,"ramp":[{"share":1000,"hold":1000},{"share":5000,"hold":1000},{"share":10000,"hold":1000}],"settle":1000,"drain":{"evict_after":null},"queue":"newest","max_versions":4,"unresponsive_for":300000}},"images":{"web":"haddock-demo:c1"},"one_shots":[],"commit":null,"force":false},"pins":{"web":"sha256:18fe8cc7b94b002840fbb92c9cad7a9f2e53841a19b1a90096ec50d431646758"},"verdict":"settled","replacing":{"count":0,"retry_at":0},"external":false}},"instances":{"demo-2-2b311521":{"version":2,"phase":"retiring","since":1795928899725,"ready_by":1795928922170,"launch":{"count":1,"retry_at":1795928893170},"lives":{"web":{"container":"1686e8cafdb1e4732320f05cd17c9468507c01a7b939087f97018627f2c377ce","started":1795928892628075299}},"address":"10.213.6.66:8080","named":{"epoch":2,"revision":22},"listed":{"epoch":2,"revision":22},"close_asked":{"epoch":2,"revision":24},"close":{"count":1,"retry_at":1795928900216},"closed_somewhere":true,"empty_look":null,"drain":{"since":1795928898713,"deadline":null,"overdue":false},"unresponsive_since":null,"failure":null,"dead":false,"stop":{"count":1,"retry_at":1795928900725},"external":null},"demo-3-2b311521":{"version":3,"phase":"serving","since":1795928898713,"ready_by":1795928928217,"launch":{"count":1,"retry_at":1795928899217},"lives":{"web":{"container":"eb6bdcbe1176df44f3af3ae498e5a64afdd78367bb1d1afb2ef726cc7e2c753b","started":1795928898664025373}},"address":"10.213.3.130:8080","named":{"epoch":2,"revision":25},"listed":{"epoch":2,"revision":21},"close_asked":null,"close":{"count":0,"retry_at":0},"closed_somewhere":false,"empty_look":null,"drain":null,"unresponsive_since":null,"failure":null,"dead":false,"stop":{"count":0,"retry_at":0},"external":null}},"known_good":3,"release":null,"queued":null,"asked":{"number":{"epoch":2,"revision":25},"routes":{"demo-3-2b311521":{"address":"10.213.3.130:8080","share":10000}},"in_force":true,"sending":{"count":1,"retry_at":1795928900225}}}',NULL,NULL);
CREATE INDEX pending ON request (service, sequence) WHERE NOT taken;
COMMIT;
