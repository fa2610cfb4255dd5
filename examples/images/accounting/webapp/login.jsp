<%-- POST user=…: somebody logs in. The session gets another id, so that nobody can use one that was planted before.
     GET: who is logged in. --%><%@ page session="false" %><%@ include file="WEB-INF/parts.jspf" %><%
    boolean logs_in = "POST".equals(request.getMethod());
    HttpSession mine = request.getSession(logs_in);
    if (logs_in) {
        if (!mine.isNew()) request.changeSessionId();
        mine.setAttribute("user", request.getParameter("user"));
    }
    String user = mine == null ? null : (String) mine.getAttribute("user");
    out.print("{\"user\":" + (user == null ? "null" : quoted(user)) + "}");
%>
