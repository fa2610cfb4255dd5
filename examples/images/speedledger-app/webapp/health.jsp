<%@ page session="false" %><%@ include file="WEB-INF/parts.jspf" %><%
    try (java.sql.Connection books = books(); javax.jms.Connection broker = broker()) {
        books.createStatement().executeQuery("SELECT 1");
        out.print("{\"healthy\":true}");
    }
%>
