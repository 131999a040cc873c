BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE covers (
	deploy VARCHAR(12) NOT NULL, 
	message VARCHAR(32) NOT NULL, 
	PRIMARY KEY (deploy, message)
)
 WITHOUT ROWID

;
INSERT INTO "covers" VALUES('f4f131f7d3b8','0db4564959da5e361694b17aade735e8');
INSERT INTO "covers" VALUES('2f2fb1315b1f','133c06b55ac56c975262bf5f7290d161');
INSERT INTO "covers" VALUES('3d8401eaa162','23677189ea0bfccfc08eec98824e09f1');
INSERT INTO "covers" VALUES('f6c9398456bd','279006d120c0a3b65455f29909e4393b');
INSERT INTO "covers" VALUES('7e5a79b37b23','2ae4f1e5dd263a49fff75961cba36a78');
INSERT INTO "covers" VALUES('f4f131f7d3b8','3152fb2cfcac73ccb646e88c6192c059');
INSERT INTO "covers" VALUES('94f043c7f095','33e4abb1e5d6fddeff30bd300744f2a6');
INSERT INTO "covers" VALUES('b955587ba19d','70594a3af53f1d9094f215e5d66b4a83');
INSERT INTO "covers" VALUES('c468e2723b40','85b9284511d9fa30bb2575d00b567c93');
INSERT INTO "covers" VALUES('94f043c7f095','8e937df3fbebe8ae59b6a12133204ee4');
INSERT INTO "covers" VALUES('94f043c7f095','98760cb96283cdad98f3570bb6085eb5');
INSERT INTO "covers" VALUES('f7d10ca035e1','a030328832a428befcf1e20d2191b85c');
INSERT INTO "covers" VALUES('d63521882213','a693757eda46677d4d7246d944f9bc96');
INSERT INTO "covers" VALUES('96c21e7c674a','ae336461d07680027fcc3d92b024ea4f');
INSERT INTO "covers" VALUES('56f4fec238d8','bc256f1b34f86448a1a10cd6c8989e8f');
INSERT INTO "covers" VALUES('9502e0e76934','bc256f1b34f86448a1a10cd6c8989e8f');
INSERT INTO "covers" VALUES('d146ce9ff490','bc256f1b34f86448a1a10cd6c8989e8f');
INSERT INTO "covers" VALUES('8d36642336f0','c677520a57a1b9b6db8d53ab4998cef7');
INSERT INTO "covers" VALUES('75684d1dd88a','d6c565150c536427c19231eea479d96e');
INSERT INTO "covers" VALUES('8d36642336f0','e09d9496dcf6545c7313b155647cf9c7');
INSERT INTO "covers" VALUES('f7d10ca035e1','e13d879846b73d64322b072d63e35126');
INSERT INTO "covers" VALUES('341de13a7ec0','e47b5a83db9bc34545ad72246e170d9c');
INSERT INTO "covers" VALUES('a3e245374eed','e5b3779e6a4c5d6324dd5a1f8aea7aa1');
INSERT INTO "covers" VALUES('f7d10ca035e1','ed84a71863be1cf2bf753f86bba457cb');
INSERT INTO "covers" VALUES('22a63b86186f','f8fedbf9dd418596f230fcfd1e4a25d1');
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
INSERT INTO "deploys" VALUES('341de13a7ec0','stage.abc.wwts.com',1795646686825,'deploys@deploys-1:23847',1795646686825,1795646686825,'passed','',0,0,'["/var/lib/usher/deploy", "stage.abc.wwts.com", "ABC-2"]',1795646686828,1795646686842,'deploying stage.abc.wwts.com ABC-2
',0,'.usher/deploys/stage.abc.wwts.com/341de13a7ec0.log');
INSERT INTO "deploys" VALUES('b955587ba19d','test.abc.wwts.com',1795646686919,'deploys@deploys-1:23847',1795646686919,1795646686919,'failed','exit code 1',1,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-5"]',1795646686925,1795646686945,'deploying test.abc.wwts.com ABC-5
no such host: ABC-5
',0,'.usher/deploys/test.abc.wwts.com/b955587ba19d.log');
INSERT INTO "deploys" VALUES('8d36642336f0','later.abc.wwts.com',1795646687042,'deploys@deploys-1:23847',1795646687042,1795646687042,'failed','exit code 1',1,0,'["/var/lib/usher/deploy", "later.abc.wwts.com", "ABC-11", "ABC-16"]',1795646687049,1795646687068,'deploying later.abc.wwts.com ABC-11 ABC-16
no such host: ABC-11
no such host: ABC-16
',0,'.usher/deploys/later.abc.wwts.com/8d36642336f0.log');
INSERT INTO "deploys" VALUES('f7d10ca035e1','beta.abc.wwts.com',1795646689153,'deploys@deploys-1:23847',1795646689153,1795646689153,'passed','',0,0,'["/var/lib/usher/deploy", "beta.abc.wwts.com", "ABC-3", "ABC-4"]',1795646689158,1795646689180,'deploying beta.abc.wwts.com ABC-3 ABC-4
',0,'.usher/deploys/beta.abc.wwts.com/f7d10ca035e1.log');
INSERT INTO "deploys" VALUES('7e5a79b37b23','slow.abc.wwts.com',1795646689298,'deploys@deploys-1:23847',1795646689298,1795646689298,'passed','',0,0,'["/var/lib/usher/deploy", "slow.abc.wwts.com", "ABC-15"]',1795646689303,1795646689309,'deploying slow.abc.wwts.com ABC-15
',0,'.usher/deploys/slow.abc.wwts.com/7e5a79b37b23.log');
INSERT INTO "deploys" VALUES('94f043c7f095','stage.abc.wwts.com',1795646689581,'deploys@deploys-1:23847',1795646689581,1795646689581,'failed','exit code 64',64,0,'["/var/lib/usher/deploy", "stage.abc.wwts.com", "ABC-8", "ABC-9", "ABC-10"]',1795646689587,1795646689602,'deploying stage.abc.wwts.com ABC-8 ABC-9 ABC-10
no such host: ABC-8
no such host: ABC-9
no such host: ABC-10
',0,'.usher/deploys/stage.abc.wwts.com/94f043c7f095.log');
INSERT INTO "deploys" VALUES('2f2fb1315b1f','test.abc.wwts.com',1795646690931,'deploys@deploys-1:23847',1795646690931,1795646690931,'failed','exit code 1',1,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-5"]',1795646690934,1795646690942,'deploying test.abc.wwts.com ABC-5
no such host: ABC-5
',0,'.usher/deploys/test.abc.wwts.com/2f2fb1315b1f.log');
INSERT INTO "deploys" VALUES('d63521882213','slow.abc.wwts.com',1795646691441,'deploys@deploys-1:23847',1795646691441,1795646691441,'timed_out','it ran longer than 10 s',-15,0,'["/var/lib/usher/deploy", "slow.abc.wwts.com", "ABC-7"]',1795646691446,1795646701464,'deploying slow.abc.wwts.com ABC-7
',0,'.usher/deploys/slow.abc.wwts.com/d63521882213.log');
INSERT INTO "deploys" VALUES('f4f131f7d3b8','stage.abc.wwts.com',1795646693767,'deploys@deploys-1:23847',1795646693767,1795646693767,'passed','',0,0,'["/var/lib/usher/deploy", "stage.abc.wwts.com", "ABC-8", "ABC-10"]',1795646693772,1795646693785,'deploying stage.abc.wwts.com ABC-8 ABC-10
',0,'.usher/deploys/stage.abc.wwts.com/f4f131f7d3b8.log');
INSERT INTO "deploys" VALUES('f6c9398456bd','test.abc.wwts.com',1795646696173,'deploys@deploys-1:23847',1795646696173,1795646696173,'failed','exit code 75',75,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-6"]',1795646696181,1795646696197,'deploying test.abc.wwts.com ABC-6
no such host: ABC-6
',0,'.usher/deploys/test.abc.wwts.com/f6c9398456bd.log');
INSERT INTO "deploys" VALUES('22a63b86186f','test.abc.wwts.com',1795646700239,'deploys@deploys-1:23847',1795646700239,1795646700239,'passed','',0,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-6"]',1795646700246,1795646700257,'deploying test.abc.wwts.com ABC-6
',0,'.usher/deploys/test.abc.wwts.com/22a63b86186f.log');
INSERT INTO "deploys" VALUES('c468e2723b40','slow.abc.wwts.com',1795646703664,'deploys@deploys-1:23847',1795646703664,1795646703664,'failed','exit code 1',1,0,'["/var/lib/usher/deploy", "slow.abc.wwts.com", "ABC-17"]',1795646703668,1795646705101,'deploying slow.abc.wwts.com ABC-17
no such host: ABC-17
',0,'.usher/deploys/slow.abc.wwts.com/c468e2723b40.log');
INSERT INTO "deploys" VALUES('3d8401eaa162','slow.abc.wwts.com',1795646705832,'deploys@deploys-1:23847',1795646705832,1795646705832,'passed','',0,0,'["/var/lib/usher/deploy", "slow.abc.wwts.com", "ABC-19"]',1795646705836,1795646705845,'deploying slow.abc.wwts.com ABC-19
',0,'.usher/deploys/slow.abc.wwts.com/3d8401eaa162.log');
INSERT INTO "deploys" VALUES('56f4fec238d8','beta.abc.wwts.com',1795646708433,'deploys@deploys-1:23847',1795646708433,1795646708433,'interrupted','deploys on deploys-1 (process 23847), which ran it, is gone',NULL,NULL,NULL,NULL,1795646723740,NULL,NULL,NULL);
INSERT INTO "deploys" VALUES('d146ce9ff490','beta.abc.wwts.com',1795646723779,'deploys@deploys-1:24354',1795646723779,1795646723779,'interrupted','Usher stops',NULL,NULL,NULL,NULL,1795646723806,NULL,NULL,NULL);
INSERT INTO "deploys" VALUES('9502e0e76934','beta.abc.wwts.com',1795646724707,'deploys@deploys-1:24362',1795646724707,1795646724707,'passed','',0,0,'["/var/lib/usher/deploy", "beta.abc.wwts.com", "ABC-12"]',1795646724713,1795646724721,'deploying beta.abc.wwts.com ABC-12
',0,'.usher/deploys/beta.abc.wwts.com/9502e0e76934.log');
INSERT INTO "deploys" VALUES('a3e245374eed','test.abc.wwts.com',1795646726877,'deploys@deploys-1:24366',1795646726877,1795646726877,'failed','exit code 64',64,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-20"]',1795646726879,1795646726887,'deploying test.abc.wwts.com ABC-20
no such host: ABC-20
',0,'.usher/deploys/test.abc.wwts.com/a3e245374eed.log');
INSERT INTO "deploys" VALUES('96c21e7c674a','test.abc.wwts.com',1795646729077,'deploys@deploys-1:24366',1795646729077,1795646729077,'passed','',0,0,'["/var/lib/usher/deploy", "test.abc.wwts.com", "ABC-20"]',1795646729082,1795646729087,'deploying test.abc.wwts.com ABC-20
',0,'.usher/deploys/test.abc.wwts.com/96c21e7c674a.log');
INSERT INTO "deploys" VALUES('75684d1dd88a','later.abc.wwts.com',1795646731223,'deploys@deploys-1:24366',1795646731223,1795646731223,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE journal (
	id INTEGER NOT NULL, 
	through BIGINT NOT NULL, 
	entry VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "journal" VALUES(1,157,'fb71814c79fee652');
CREATE TABLE "messages" (
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
	origin VARCHAR(32) NOT NULL, 
	due_at BIGINT, 
	"by" VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "messages" VALUES('e47b5a83db9bc34545ad72246e170d9c','ABC-2','abc','stage','stage.abc.wwts.com','deployed','jira',1,1795646684771,1795646684720,1795646686842,'341de13a7ec0',3,'e47b5a83db9bc34545ad72246e170d9c',NULL,NULL);
INSERT INTO "messages" VALUES('70594a3af53f1d9094f215e5d66b4a83','ABC-5','abc','test','test.abc.wwts.com','retried','api',1,1795646684870,NULL,1795646686970,'b955587ba19d',1,'70594a3af53f1d9094f215e5d66b4a83',NULL,NULL);
INSERT INTO "messages" VALUES('e09d9496dcf6545c7313b155647cf9c7','ABC-11','abc','later','later.abc.wwts.com','retried','api',1,1795646684912,NULL,1795646687085,'8d36642336f0',1,'e09d9496dcf6545c7313b155647cf9c7',NULL,NULL);
INSERT INTO "messages" VALUES('c677520a57a1b9b6db8d53ab4998cef7','ABC-16','abc','later','later.abc.wwts.com','retried','api',1,1795646684968,NULL,1795646687085,'8d36642336f0',1,'c677520a57a1b9b6db8d53ab4998cef7',NULL,NULL);
INSERT INTO "messages" VALUES('133c06b55ac56c975262bf5f7290d161','ABC-5','abc','test','test.abc.wwts.com','parked','api',2,1795646688970,NULL,1795646690942,'2f2fb1315b1f',1,'70594a3af53f1d9094f215e5d66b4a83',1795646688970,NULL);
INSERT INTO "messages" VALUES('a030328832a428befcf1e20d2191b85c','ABC-3','abc','beta','beta.abc.wwts.com','superseded','api',1,1795646687002,NULL,1795646689180,'f7d10ca035e1',1,'a030328832a428befcf1e20d2191b85c',NULL,NULL);
INSERT INTO "messages" VALUES('ed84a71863be1cf2bf753f86bba457cb','ABC-4','abc','beta','beta.abc.wwts.com','deployed','api',1,1795646687054,NULL,1795646689180,'f7d10ca035e1',1,'ed84a71863be1cf2bf753f86bba457cb',NULL,NULL);
INSERT INTO "messages" VALUES('86502b8d342d566e84b1f5ec28327a79','ABC-11','abc','later','later.abc.wwts.com','retrying','api',2,1795689887085,NULL,1795646687085,NULL,1,'e09d9496dcf6545c7313b155647cf9c7',1795689887085,NULL);
INSERT INTO "messages" VALUES('10aeb386cb07bd87341293c009cea72b','ABC-16','abc','later','later.abc.wwts.com','withdrawn','api',2,1795689887085,NULL,1795646687432,NULL,1,'c677520a57a1b9b6db8d53ab4998cef7',1795689887085,'ben');
INSERT INTO "messages" VALUES('e13d879846b73d64322b072d63e35126','ABC-3','abc','beta','beta.abc.wwts.com','deployed','api',1,1795646687123,NULL,1795646689180,'f7d10ca035e1',1,'e13d879846b73d64322b072d63e35126',NULL,NULL);
INSERT INTO "messages" VALUES('3ae9b6d5513f9300dbfc0a03ca2ef883','ABC-14','abc','slow','slow.abc.wwts.com','withdrawn','api',1,1795646687177,NULL,1795646687306,NULL,1,'3ae9b6d5513f9300dbfc0a03ca2ef883',NULL,'anna');
INSERT INTO "messages" VALUES('2ae4f1e5dd263a49fff75961cba36a78','ABC-15','abc','slow','slow.abc.wwts.com','deployed','api',1,1795646687246,NULL,1795646689309,'7e5a79b37b23',1,'2ae4f1e5dd263a49fff75961cba36a78',NULL,NULL);
INSERT INTO "messages" VALUES('8e937df3fbebe8ae59b6a12133204ee4','ABC-8','abc','stage','stage.abc.wwts.com','retried','api',1,1795646687468,NULL,1795646691619,'94f043c7f095',1,'8e937df3fbebe8ae59b6a12133204ee4',NULL,'anna');
INSERT INTO "messages" VALUES('98760cb96283cdad98f3570bb6085eb5','ABC-9','abc','stage','stage.abc.wwts.com','withdrawn','api',1,1795646687513,NULL,1795646691676,'94f043c7f095',1,'98760cb96283cdad98f3570bb6085eb5',NULL,'ben');
INSERT INTO "messages" VALUES('33e4abb1e5d6fddeff30bd300744f2a6','ABC-10','abc','stage','stage.abc.wwts.com','superseded','api',1,1795646687549,NULL,1795646693785,'f4f131f7d3b8',1,'33e4abb1e5d6fddeff30bd300744f2a6',NULL,NULL);
INSERT INTO "messages" VALUES('a693757eda46677d4d7246d944f9bc96','ABC-7','abc','slow','slow.abc.wwts.com','parked','api',1,1795646689412,NULL,1795646701464,'d63521882213',1,'a693757eda46677d4d7246d944f9bc96',NULL,NULL);
INSERT INTO "messages" VALUES('0db4564959da5e361694b17aade735e8','ABC-8','abc','stage','stage.abc.wwts.com','deployed','api',2,1795646691619,NULL,1795646693785,'f4f131f7d3b8',1,'8e937df3fbebe8ae59b6a12133204ee4',1795646691619,NULL);
INSERT INTO "messages" VALUES('3152fb2cfcac73ccb646e88c6192c059','ABC-10','abc','stage','stage.abc.wwts.com','deployed','api',1,1795646691710,NULL,1795646693785,'f4f131f7d3b8',1,'3152fb2cfcac73ccb646e88c6192c059',NULL,NULL);
INSERT INTO "messages" VALUES('279006d120c0a3b65455f29909e4393b','ABC-6','abc','test','test.abc.wwts.com','retried','api',1,1795646694141,NULL,1795646696214,'f6c9398456bd',1,'279006d120c0a3b65455f29909e4393b',NULL,NULL);
INSERT INTO "messages" VALUES('f8fedbf9dd418596f230fcfd1e4a25d1','ABC-6','abc','test','test.abc.wwts.com','deployed','api',1,1795646698214,NULL,1795646700257,'22a63b86186f',1,'279006d120c0a3b65455f29909e4393b',1795646698214,NULL);
INSERT INTO "messages" VALUES('85b9284511d9fa30bb2575d00b567c93','ABC-17','abc','slow','slow.abc.wwts.com','withdrawn','api',1,1795646701634,NULL,1795646705101,'c468e2723b40',1,'85b9284511d9fa30bb2575d00b567c93',NULL,NULL);
INSERT INTO "messages" VALUES('23677189ea0bfccfc08eec98824e09f1','ABC-19','abc','slow','slow.abc.wwts.com','deployed','api',1,1795646703800,NULL,1795646705845,'3d8401eaa162',1,'23677189ea0bfccfc08eec98824e09f1',NULL,NULL);
INSERT INTO "messages" VALUES('bc256f1b34f86448a1a10cd6c8989e8f','ABC-12','abc','beta','beta.abc.wwts.com','deployed','api',1,1795646706403,NULL,1795646724721,'9502e0e76934',1,'bc256f1b34f86448a1a10cd6c8989e8f',NULL,NULL);
INSERT INTO "messages" VALUES('e5b3779e6a4c5d6324dd5a1f8aea7aa1','ABC-20','abc','test','test.abc.wwts.com','retried','api',1,1795646724848,NULL,1795646727047,'a3e245374eed',1,'e5b3779e6a4c5d6324dd5a1f8aea7aa1',NULL,'anna');
INSERT INTO "messages" VALUES('ae336461d07680027fcc3d92b024ea4f','ABC-20','abc','test','test.abc.wwts.com','deployed','api',2,1795646727047,NULL,1795646729087,'96c21e7c674a',1,'e5b3779e6a4c5d6324dd5a1f8aea7aa1',1795646727047,NULL);
INSERT INTO "messages" VALUES('d6c565150c536427c19231eea479d96e','ABC-30','abc','later','later.abc.wwts.com','deploying','api',1,1795646729182,NULL,1795646731223,'75684d1dd88a',1,'d6c565150c536427c19231eea479d96e',NULL,NULL);
INSERT INTO "messages" VALUES('024b85ac0e804dbb5c18f84732e1f66f','ABC-31','abc','slow','slow.abc.wwts.com','waiting','api',1,1795646731303,NULL,1795646731303,NULL,1,'024b85ac0e804dbb5c18f84732e1f66f',NULL,NULL);
CREATE INDEX deploys_by_time ON deploys (began_at, id);
CREATE INDEX deploys_by_server ON deploys (server, began_at);
CREATE INDEX deploys_by_outcome ON deploys (outcome, began_at);
CREATE INDEX messages_by_state ON messages (state, queued_at);
CREATE INDEX messages_by_project ON messages (project, status, queued_at);
CREATE INDEX messages_by_time ON messages (queued_at, id);
CREATE INDEX messages_by_issue ON messages (issue, queued_at);
CREATE INDEX messages_by_server ON messages (server, state, queued_at);
CREATE INDEX messages_by_origin ON messages (origin, attempt);
CREATE INDEX covers_by_message ON covers (message);
COMMIT;
