BEGIN TRANSACTION;
CREATE TABLE covers (
	deploy VARCHAR(12) NOT NULL, 
	message VARCHAR(32) NOT NULL, 
	PRIMARY KEY (deploy, message)
)
 WITHOUT ROWID

;
INSERT INTO "covers" VALUES('0c63cf45c69e','eab903f49ec2ac0b006138417a6d0629');
INSERT INTO "covers" VALUES('0da45c3e093b','3ff646d4beee545429ec0b80c8fb09a9');
INSERT INTO "covers" VALUES('0edf01bdb015','f613d610aa6907f92a44a0a1755b812e');
INSERT INTO "covers" VALUES('32e5a9d2f20b','fa841bb19446cda7bdefc3ba3166f074');
INSERT INTO "covers" VALUES('478c624441be','d184c1491d6f35e122fe77e93bab3006');
INSERT INTO "covers" VALUES('81b93a70787d','2221850bc1f2ea060a62ece7afed9b18');
INSERT INTO "covers" VALUES('a8fc1e57e864','734bf83d2eef53a0508dd13346e745fe');
INSERT INTO "covers" VALUES('b48997d28b59','86e980411b2d66e42fc97e601276ca95');
INSERT INTO "covers" VALUES('c15c2d542f82','bbe85b56623073a75bdd7319a44561e7');
CREATE TABLE deploys (
	id VARCHAR(12) NOT NULL, 
	server VARCHAR NOT NULL, 
	began_at BIGINT NOT NULL, 
	holder VARCHAR, 
	fence BIGINT, 
	taken_at BIGINT, 
	outcome VARCHAR, 
	reason TEXT, 
	exit_code BIGINT, 
	rehearsed BOOLEAN, 
	command JSON, 
	started_at BIGINT, 
	ended_at BIGINT, 
	output TEXT, 
	cut BOOLEAN, 
	log VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "deploys" VALUES('0da45c3e093b','beta.abc.wwts.com',1795399427678,'deploys@deploys-1:15023',1795399427678,1795399427678,'passed','',0,0,'["/srv/usher/cmd.sh", "beta.abc.wwts.com", "ABC-1"]',1795399427681,1795399427688,'deploying beta.abc.wwts.com ABC-1
',0,'.usher/deploys/beta.abc.wwts.com/0da45c3e093b.log');
INSERT INTO "deploys" VALUES('c15c2d542f82','beta.abc.wwts.com',1795399428157,'deploys@deploys-1:15023',1795399428157,1795399428157,'passed','',0,0,'["/srv/usher/cmd.sh", "beta.abc.wwts.com", "ABC-2"]',1795399428161,1795399428171,'deploying beta.abc.wwts.com ABC-2
',0,'.usher/deploys/beta.abc.wwts.com/c15c2d542f82.log');
INSERT INTO "deploys" VALUES('478c624441be','beta.abc.wwts.com',1795399428689,'deploys@deploys-1:15023',1795399428689,1795399428689,'passed','',0,0,'["/srv/usher/cmd.sh", "beta.abc.wwts.com", "ABC-1"]',1795399428692,1795399428699,'deploying beta.abc.wwts.com ABC-1
',0,'.usher/deploys/beta.abc.wwts.com/478c624441be.log');
INSERT INTO "deploys" VALUES('81b93a70787d','test.abc.wwts.com',1795399429186,'deploys@deploys-1:15023',1795399429186,1795399429186,'failed','exit code 7',7,0,'["/srv/usher/cmd.sh", "test.abc.wwts.com", "ABC-3"]',1795399429189,1795399429195,'deploying test.abc.wwts.com ABC-3
no such host
',0,'.usher/deploys/test.abc.wwts.com/81b93a70787d.log');
INSERT INTO "deploys" VALUES('32e5a9d2f20b','stage.abc.wwts.com',1795399429647,'deploys@deploys-1:15023',1795399429647,1795399429647,'passed','',0,0,'["/srv/usher/cmd.sh", "stage.abc.wwts.com", "ABC-4"]',1795399429652,1795399429663,'deploying stage.abc.wwts.com ABC-4
',0,'.usher/deploys/stage.abc.wwts.com/32e5a9d2f20b.log');
INSERT INTO "deploys" VALUES('a8fc1e57e864','late.abc.wwts.com',1795399430130,'deploys@deploys-1:15023',1795399430130,1795399430130,'passed','',0,0,'["/srv/usher/cmd.sh", "late.abc.wwts.com", "ABC-5"]',1795399430132,1795399432140,'deploying late.abc.wwts.com ABC-5
',0,'.usher/deploys/late.abc.wwts.com/a8fc1e57e864.log');
INSERT INTO "deploys" VALUES('0edf01bdb015','slow.abc.wwts.com',1795399436616,'deploys@deploys-1:15023',1795399436616,1795399436616,'timed_out','it ran longer than 3 s',-15,0,'["/srv/usher/cmd.sh", "slow.abc.wwts.com", "ABC-6"]',1795399436618,1795399439627,'deploying slow.abc.wwts.com ABC-6
',0,'.usher/deploys/slow.abc.wwts.com/0edf01bdb015.log');
INSERT INTO "deploys" VALUES('b48997d28b59','beta.abc.wwts.com',1795399442571,'deploys@deploys-1:15023',1795399442571,1795399442571,'passed','',0,0,'["/srv/usher/cmd.sh", "beta.abc.wwts.com", "ABC-8"]',1795399442573,1795399442578,'deploying beta.abc.wwts.com ABC-8
',0,'.usher/deploys/beta.abc.wwts.com/b48997d28b59.log');
INSERT INTO "deploys" VALUES('0c63cf45c69e','slow.abc.wwts.com',1795399446958,'deploys@deploys-1:15023',1795399446958,1795399446958,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE messages (
	id VARCHAR(32) NOT NULL, 
	issue VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	queued_at BIGINT NOT NULL, 
	moved_at BIGINT, 
	changed_at BIGINT NOT NULL, 
	deploy VARCHAR(12), 
	told INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "messages" VALUES('3ff646d4beee545429ec0b80c8fb09a9','ABC-1','abc','beta','beta.abc.wwts.com','deployed','api',1,1795399427334,NULL,1795399427688,'0da45c3e093b',1);
INSERT INTO "messages" VALUES('bbe85b56623073a75bdd7319a44561e7','ABC-2','abc','beta','beta.abc.wwts.com','deployed','api',1,1795399427826,NULL,1795399428171,'c15c2d542f82',1);
INSERT INTO "messages" VALUES('d184c1491d6f35e122fe77e93bab3006','ABC-1','abc','beta','beta.abc.wwts.com','deployed','api',1,1795399428349,NULL,1795399428699,'478c624441be',1);
INSERT INTO "messages" VALUES('2221850bc1f2ea060a62ece7afed9b18','ABC-3','abc','test','test.abc.wwts.com','parked','api',1,1795399428858,NULL,1795399429195,'81b93a70787d',1);
INSERT INTO "messages" VALUES('fa841bb19446cda7bdefc3ba3166f074','ABC-4','abc','stage','stage.abc.wwts.com','deployed','api',1,1795399429313,NULL,1795399429663,'32e5a9d2f20b',1);
INSERT INTO "messages" VALUES('734bf83d2eef53a0508dd13346e745fe','ABC-5','abc','late','late.abc.wwts.com','deployed','api',1,1795399429798,NULL,1795399432140,'a8fc1e57e864',1);
INSERT INTO "messages" VALUES('f613d610aa6907f92a44a0a1755b812e','ABC-6','abc','slow','slow.abc.wwts.com','parked','api',1,1795399436286,NULL,1795399439627,'0edf01bdb015',1);
INSERT INTO "messages" VALUES('86e980411b2d66e42fc97e601276ca95','ABC-8','abc','beta','beta.abc.wwts.com','deployed','api',1,1795399442222,NULL,1795399442578,'b48997d28b59',1);
INSERT INTO "messages" VALUES('eab903f49ec2ac0b006138417a6d0629','ABC-6','abc','slow','slow.abc.wwts.com','deploying','api',1,1795399446623,NULL,1795399446958,'0c63cf45c69e',1);
INSERT INTO "messages" VALUES('95aa9c23416c0b2948bb2e69218b4bc9','ABC-7','abc','slow','slow.abc.wwts.com','waiting','api',1,1795399448756,NULL,1795399448756,NULL,1);
CREATE INDEX messages_by_time ON messages (queued_at, id);
CREATE INDEX messages_by_server ON messages (server, state, queued_at);
CREATE INDEX messages_by_project ON messages (project, status, queued_at);
CREATE INDEX messages_by_state ON messages (state, queued_at);
CREATE INDEX messages_by_issue ON messages (issue, queued_at);
CREATE INDEX deploys_by_outcome ON deploys (outcome, began_at);
CREATE INDEX deploys_by_server ON deploys (server, began_at);
CREATE INDEX deploys_by_time ON deploys (began_at, id);
COMMIT;
